"""What is over leaves nothing behind, and who waits costs little while waiting."""

from __future__ import annotations

import gc
import json
import socket
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from waiting_receives import until_waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from busframe_emulator.server.thread import ThreadedServer

WAITERS = 100
ROUNDS = 10
SOME = 2_500
"""Objects that may come and go: entries of timers not yet swept out, connections not yet lost."""


def request(action: str, given: Mapping[str, object], *head: str) -> bytes:
    body = json.dumps(given).encode()
    lines = ["POST / HTTP/1.1", "Host: here:1", f"X-Amz-Target: AmazonSQS.{action}", *head]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def waiting_client(server: ThreadedServer, queue_url: str, *head: str) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    client.sendall(request("ReceiveMessage", {"QueueUrl": queue_url, "WaitTimeSeconds": 20}, *head))
    return client


def weigh(server: ThreadedServer) -> tuple[int, int]:
    """How many objects hang on the server, and the bytes of its texts, whatever it is made of."""
    seen: set[int] = set()
    todo: list[object] = [server._server]  # pyright: ignore[reportPrivateUsage]
    characters = 0
    while todo:
        thing = todo.pop()
        if id(thing) in seen or isinstance(thing, type | ModuleType | FunctionType | BuiltinFunctionType):
            continue
        seen.add(id(thing))
        if isinstance(thing, bytes | bytearray | str):
            characters += len(thing)
        todo += gc.get_referents(thing)
    return len(seen), characters


def timers(server: ThreadedServer) -> int:
    """How often the loop is going to wake up by itself."""
    loop: Any = server._loop  # pyright: ignore[reportPrivateUsage]
    return sum(not timer.cancelled() for timer in loop._scheduled)


def test_who_waits_does_not_hold_what_the_request_said(server: ThreadedServer, queue_url: str) -> None:
    filler = f"Authorization: {'x' * 30_000}"
    before = weigh(server)[1]
    client = waiting_client(server, queue_url, filler)
    until_waiting(server, 1)
    assert weigh(server)[1] - before < 10_000
    client.close()


def test_polling_again_and_again_leaves_nothing(
    server: ThreadedServer, post: Callable[..., object], queue_url: str
) -> None:
    def poll() -> None:
        clients = [waiting_client(server, queue_url) for _ in range(WAITERS)]
        until_waiting(server, WAITERS)
        server.advance(20)
        for client in clients[::2]:
            client.recv(1000)
            client.sendall(request("ReceiveMessage", {"QueueUrl": queue_url, "WaitTimeSeconds": 20}))
        until_waiting(server, WAITERS // 2)
        for client in clients:
            client.close()
        until_waiting(server, 0)
        post("ReceiveMessage", {"QueueUrl": queue_url})

    poll()
    before, _ = weigh(server)
    for _ in range(ROUNDS):
        poll()
    assert weigh(server)[0] - before < SOME


def test_queues_made_and_deleted_leave_nothing(server: ThreadedServer, queue_url: str) -> None:
    client = socket.create_connection(("127.0.0.1", server.port), timeout=10)

    def make_and_delete(number: int) -> None:
        url = queue_url.replace("orders", f"queue-{number}")
        for action, given in (
            ("CreateQueue", {"QueueName": f"queue-{number}"}),
            ("SendMessage", {"QueueUrl": url, "MessageBody": "x"}),
            ("ReceiveMessage", {"QueueUrl": url}),
            ("DeleteQueue", {"QueueUrl": url}),
        ):
            client.sendall(request(action, given))
            assert client.recv(4000).startswith(b"HTTP/1.1 200")
        server.advance(61)

    for number in range(100):
        make_and_delete(number)
    before, _ = weigh(server)
    for number in range(100, 1_000):
        make_and_delete(number)
    # A caller's queue URLs are remembered, up to a bound: two or three objects each.
    assert weigh(server)[0] - before < 900 * 5
    client.close()


def test_a_thousand_waiting_polls_wake_the_server_no_more_often_than_none(
    server: ThreadedServer, queue_url: str
) -> None:
    before = timers(server)
    clients = [waiting_client(server, queue_url) for _ in range(1_000)]
    until_waiting(server, 1_000)
    server.advance(0)
    assert timers(server) <= before + 1
    for client in clients:
        client.close()
