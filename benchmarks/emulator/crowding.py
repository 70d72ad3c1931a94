"""What a request costs the server with few queues and with many, over HTTP: processor time, in turns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.emulator.server import BUSFRAME, Server
from benchmarks.emulator.table import Asked, Row

if TYPE_CHECKING:
    from benchmarks.emulator.server import Client

CYCLES = 1_500
STRIDE = 7
ASKED = Asked(bound=1.5, upward=False)


class Queues:
    """A server's queues, used one after the other."""

    def __init__(self, server: Server, count: int) -> None:
        self._server = server
        self._urls = [server.client.queue(f"queue-{number:05}") for number in range(count)]
        self._turn = 0

    def cycle_us(self) -> float:
        """Processor time for sending, receiving and deleting a message."""
        before_s = self._server.cpu_s()
        for _ in range(CYCLES):
            self._turn = (self._turn + STRIDE) % len(self._urls)
            _cycle(self._server.client, self._urls[self._turn])
        return (self._server.cpu_s() - before_s) / CYCLES * 1e6


def row(few: int, many: int, *, rounds: int) -> Row:
    """Let a server with few queues and one with many take turns; the best of each counts."""
    with Server(BUSFRAME) as small, Server(BUSFRAME) as large:
        of_few, of_many = Queues(small, few), Queues(large, many)
        few_us = many_us = float("inf")
        for _ in range(rounds):
            few_us, many_us = min(few_us, of_few.cycle_us()), min(many_us, of_many.cycle_us())
    ratio = many_us / few_us
    return Row(
        case="send, receive, delete over HTTP",
        busframe=f"{few_us:.0f} and {many_us:.0f} us",
        ratio=f"{ratio:.2f}",
        asked=str(ASKED),
        met=ASKED.verdict(ratio),
    )


def _cycle(client: Client, url: str) -> None:
    client.call("SendMessage", {"QueueUrl": url, "MessageBody": "x" * 100})
    [message] = client.call("ReceiveMessage", {"QueueUrl": url})["Messages"]
    client.call("DeleteMessage", {"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]})
