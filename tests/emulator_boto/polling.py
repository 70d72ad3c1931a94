"""Long polls under way in threads."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from busframe_emulator.boto import EmulatedSqs


class Poll:
    """A long poll under way in a thread."""

    def __init__(self, client: Any, queue_url: str, **options: Any) -> None:
        self._messages: list[Any] = []
        self._thread = threading.Thread(target=self._run, args=(client, {"QueueUrl": queue_url, **options}))
        self._thread.start()

    def _run(self, client: Any, options: dict[str, Any]) -> None:
        self._messages = client.receive_message(**{"WaitTimeSeconds": 20, **options}).get("Messages", [])

    def bodies(self) -> list[str]:
        """What it brought, once it has ended."""
        self._thread.join(10)
        assert not self._thread.is_alive()
        return [message["Body"] for message in self._messages]


def until_waiting(sqs: EmulatedSqs, count: int) -> None:
    """Block until so many receives wait."""
    for _ in range(5_000):
        if len(sqs._driver._polls) == count:  # pyright: ignore[reportPrivateUsage]
            return
        threading.Event().wait(0.002)
    raise AssertionError(f"{count} receives should be waiting")
