"""A program that owns its loop and asks for messages: one that takes work only while it has money left.

    python examples/pull_consumer.py

A handler is called whenever there is a message. That does not suit a program that has to decide itself when it wants
one more: between two frames, while a licence is free, as long as a budget lasts. Such a program takes deliveries from a
stream, one by one.

What to look at:
- `async with delivery:` is what a handler's body is elsewhere. Leaving it acknowledges; `Later`, `Reject`, `Drop` and
  other exceptions decide what becomes of the message, and the loop goes on.
- `prefetch=1` keeps only what is being worked on in hand. What this program does not want stays in the queue, for
  another program, or for tomorrow.
- What came of it stands in `live.counts`, and what is left in `live.stats()`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import anyio

from busframe import Bus, Command, Drop, Later, command

bus = Bus("demo")
BUDGET_CENTS = 100


@command("demo.text.translate")
@dataclass(frozen=True)
class Translate(Command):
    """A text is to be translated, at a price by the word."""

    text: str


async def main() -> int:
    """Translate what the budget allows, and leave the rest."""
    left_cents = BUDGET_CENTS
    refused_once = False
    async with bus.connect("memory://") as live:
        translated: list[str] = []
        async with live.stream(Translate, prefetch=1) as deliveries:
            for text in ("", "good morning", "please hold the line", *("many happy returns of the day",) * 9):
                await live.send(Translate(text))
            async for delivery in deliveries:
                async with delivery:
                    text = delivery.payload.text
                    if not text:
                        raise Drop("nothing to translate")
                    if text.startswith("please") and not refused_once:
                        refused_once = True
                        raise Later(0.1)  # the translator is at lunch: again in a moment, after others
                    translated.append(text)
                    left_cents -= 4 * len(text.split())
                if left_cents < 4 * 6:  # not enough for the longest
                    break
        stats = await live.queue("demo-text-translate").stats()
        left = stats.visible + stats.in_flight + stats.delayed
        print(f"translated {len(translated)} texts, {left_cents} cents and {left} texts are left")
    return 0


if __name__ == "__main__":
    sys.exit(anyio.run(main))
