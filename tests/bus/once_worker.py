"""A program that handles orders once, and can be made to die: `once_worker.py folder when`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from bus.orders import OrderPlaced

from busframe import Bus, Delivery, Retry
from busframe_sqlite.inbox import SqliteInbox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busframe.inbox import Claim, Effect

bus = Bus("shop")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


WHEN = sys.argv[2] if len(sys.argv) > 2 else ""


@bus.subscribe(OrderPlaced, group="billing", once=True, lease_s=2, retry=Retry(attempts=100, first_s=0))
async def bill(order: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
    delivery.transaction.execute("INSERT INTO bill VALUES (?)", (order.order,))
    sys.stdout.write(f"{order.order}\n")  # an effect outside of the transaction
    sys.stdout.flush()
    if WHEN == "in the handler":
        die()


async def main() -> None:
    folder = Path(sys.argv[1])
    if WHEN in {"before the mark", "after the mark"}:
        finish = SqliteInbox.finish

        async def finish_and_die(
            inbox: SqliteInbox, claim: Claim, effects: Sequence[Effect], *, window_s: float
        ) -> bool:
            if WHEN == "after the mark":
                await finish(inbox, claim, effects, window_s=window_s)
            die()
            return True

        SqliteInbox.finish = finish_and_die  # type: ignore[assignment, method-assign]
    async with bus.connect(f"sqlite:///{folder / 'shop.db'}", inbox=f"sqlite:///{folder / 'app.db'}") as live:
        await live.serve_until_signal()


if __name__ == "__main__":
    anyio.run(main)
