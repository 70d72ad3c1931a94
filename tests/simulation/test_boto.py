"""Programs on boto3 in a simulation: ordinary code that blocks, in virtual time, against the same adversary."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Literal

import anyio
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from busframe import Bus
from busframe.message import Outgoing
from busframe.simulation import (
    SimulationFailedError,
    at_least_once,
    exactly_once,
    no_phantom,
    nothing_left,
    replay,
    simulate,
)
from busframe.testing import faults as f
from busframe_emulator.boto import emulated_sqs
from busframe_emulator.boto.sessions import make_client, make_session

if TYPE_CHECKING:
    from collections.abc import Callable

    from busframe.simulation import Sim
    from busframe.simulation.nodes import Incarnation

    Loop = Literal["asyncio", "trio"]

both_loops = pytest.mark.parametrize("loop", ["asyncio", "trio"])


def once(scenario: Any, *faults: Any, loop: Loop = "asyncio", threads: Literal["forbid", "inline"] = "forbid") -> Any:
    """Run a scenario with these faults and no others; nothing may be wrong with it."""
    checks = (nothing_left, at_least_once, no_phantom)
    run = replay(scenario, f.script(*faults), backend=loop, threads=threads, checks=checks)
    assert not run.violations, run.violations
    return run


def consume(sqs: Any, queue: str, handle: Callable[[str], None]) -> None:
    """What most programs on boto3 look like."""
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    while True:
        received = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20, MaxNumberOfMessages=10)
        for message in received.get("Messages", []):
            handle(json.loads(message["Body"])["order"])
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def orders(sim: Sim, *, remembers: bool) -> Any:
    """Two workers, or one that remembers what it did; a web page that sends six orders."""
    done: set[str] = set()

    def worker(_: Incarnation) -> None:
        def handle(order: str) -> None:
            time.sleep(0.2)  # noqa: TID251 - such are the programs that are tried here
            if order not in done:
                sim.effect(order)
            if remembers:
                done.add(order)

        consume(sim.boto3_client(), "orders", handle)

    def web(_: Incarnation) -> None:
        sqs = sim.boto3_client()
        url = sqs.get_queue_url(QueueName="orders")["QueueUrl"]
        for number in range(6):
            sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"order": f"o{number}"}))
            sim.accepted(f"o{number}")

    sim.node("worker", worker, count=1 if remembers else 2)
    sim.node("web", web, mortal=False)
    return done


@both_loops
def test_a_consumer_that_forgets_is_found_out(loop: Loop) -> None:
    async def scenario(sim: Sim) -> None:
        sim.check(exactly_once)
        await sim.queue("orders")
        orders(sim, remembers=False)
        await sim.quiesce()

    with pytest.raises(SimulationFailedError) as caught:
        simulate(scenario, seeds=50, backend=loop)
    assert caught.value.failure.violation.check == "exactly_once"
    assert len(caught.value.failure.smallest.fired) <= 2


@both_loops
@pytest.mark.parametrize("profile", ["hostile", "swarm"])
def test_one_that_remembers_passes(loop: Loop, profile: str) -> None:
    async def scenario(sim: Sim) -> None:
        sim.check(exactly_once)
        await sim.queue("orders")
        orders(sim, remembers=True)
        await sim.quiesce()

    assert simulate(scenario, seeds=40, profile=profile, backend=loop, determinism="always").seeds == 40


@both_loops
def test_time_passes_while_it_blocks(loop: Loop) -> None:
    async def scenario(sim: Sim) -> None:
        await sim.queue("orders")

        def program(_: Incarnation) -> None:
            sqs = sim.boto3_client()
            url = sqs.get_queue_url(QueueName="orders")["QueueUrl"]
            before = time.monotonic()  # noqa: TID251 - of a program on trial
            assert "Messages" not in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)
            time.sleep(100)  # noqa: TID251 - of a program on trial
            sim.state("took", time.monotonic() - before)  # noqa: TID251 - of a program on trial

        (node,) = sim.node("program", program, mortal=False)
        await node.ended.wait()

    assert once(scenario, loop=loop).outcome.states == {"took": 120}


@both_loops
def test_it_dies_where_it_blocks_and_does_nothing_more(loop: Loop) -> None:
    async def scenario(sim: Sim) -> None:
        await sim.queue("orders")
        tidied: list[str] = []

        def program(node: Incarnation) -> None:
            sqs = sim.boto3_client()
            url = sqs.get_queue_url(QueueName="orders")["QueueUrl"]
            try:
                time.sleep(5)  # noqa: TID251 - of a program on trial
                sim.note(f"life {node.number} slept well")
            finally:
                sqs.send_message(QueueUrl=url, MessageBody=json.dumps(f"life {node.number} tidied up"))
                tidied.append(f"life {node.number}")

        (node,) = sim.node("program", program)
        await node.ended.wait()
        found = await sim.backend.receive(await sim.queue("orders"), limit=10, wait_s=0, lease_s=30)
        sim.state("sent", [one.body for one in found])
        sim.state("tidied", tidied)
        await sim.backend.purge(await sim.queue("orders"))

    killed = once(scenario, f.crash("program", at_s=1), loop=loop)
    assert killed.outcome.states == {"sent": ['"life 2 tidied up"'], "tidied": ["life 2"]}
    stopped = once(scenario, f.stop("program", at_s=1), loop=loop)
    assert len(stopped.outcome.states["sent"]) == 2
    assert stopped.outcome.states["tidied"] == ["life 1", "life 2"]


@both_loops
def test_what_goes_wrong_on_the_way_is_repeated_as_botocore_does(loop: Loop) -> None:
    async def scenario(sim: Sim) -> None:
        queue = await sim.queue("orders")

        def program(_: Incarnation) -> None:
            sqs = sim.boto3_client()
            url = sqs.get_queue_url(QueueName="orders")["QueueUrl"]
            sqs.send_message(QueueUrl=url, MessageBody="one")

        (node,) = sim.node("program", program, mortal=False)
        await node.ended.wait()
        sim.state("sent", (await sim.backend.stats(queue)).visible)
        await sim.backend.purge(queue)

    def call(nth: int) -> Any:
        return f.call("program", "SendMessage", nth=nth)

    lost = once(scenario, call(1).lost_response(), call(2).lost_request(), call(3).throttled(), loop=loop)
    assert lost.outcome.states == {"sent": 2}, "the first took effect, and so did the fourth"
    assert not lost.unused
    late = once(scenario, call(1).times_out(), call(2).unavailable(), loop=loop)
    assert late.outcome.states == {"sent": 2}


@pytest.mark.parametrize(
    ("kind", "raised"),
    [
        ("lost_request", EndpointConnectionError),
        ("lost_response", Exception),
        ("times_out", Exception),
        ("throttled", ClientError),
        ("unavailable", ClientError),
    ],
)
def test_in_the_end_it_raises_what_botocore_raises(kind: str, raised: type[Exception]) -> None:
    seen: list[BaseException] = []

    async def scenario(sim: Sim) -> None:
        queue = await sim.queue("orders")

        def program(_: Incarnation) -> None:
            sqs = sim.boto3_client()
            url = sqs.get_queue_url(QueueName="orders")["QueueUrl"]
            try:
                sqs.send_message(QueueUrl=url, MessageBody="one")
            except raised as error:
                seen.append(error)

        (node,) = sim.node("program", program, mortal=False)
        await node.ended.wait()
        await sim.backend.purge(queue)

    calls = [getattr(f.call("program", "SendMessage", nth=nth), kind)() for nth in range(1, 6)]
    once(scenario, *calls)
    (failed,) = seen
    expected = {
        "lost_request": "EndpointConnectionError",
        "lost_response": "ConnectionClosedError",
        "times_out": "ReadTimeoutError",
    }
    if kind in expected:
        assert type(failed).__name__ == expected[kind]
    else:
        assert {"throttled": "RequestThrottled", "unavailable": "ServiceUnavailable"}[kind] in str(failed)


def test_entries_of_a_batch_fail_by_themselves() -> None:
    async def scenario(sim: Sim) -> None:
        queue = await sim.queue("orders")

        def program(_: Incarnation) -> None:
            sqs = sim.boto3_client()
            url = sqs.get_queue_url(QueueName="orders")["QueueUrl"]
            entries = [{"Id": str(number), "MessageBody": "one"} for number in range(3)]
            answer = sqs.send_message_batch(QueueUrl=url, Entries=entries)
            sim.state("failed", [(entry["Id"], entry["SenderFault"]) for entry in answer.get("Failed", [])])

        (node,) = sim.node("program", program, mortal=False)
        await node.ended.wait()
        sim.state("sent", (await sim.backend.stats(queue)).visible)
        await sim.backend.purge(queue)

    spoiled = replay(scenario, f.script(f.batch_entry("program", nth=1, entry=1)))
    assert spoiled.outcome.states == {"failed": [("1", False)], "sent": 2}


@both_loops
def test_bus_and_boto3_share_the_queues_and_their_message_attributes(loop: Loop) -> None:
    async def scenario(sim: Sim) -> None:
        queue = await sim.queue("orders")
        sent = Outgoing(body="from the bus", attributes={"text": "a", "bytes": b"b"})
        await sim.backend.send(queue, [sent])

        def program(_: Incarnation) -> None:
            sqs = sim.boto3_client()
            url = sqs.get_queue_url(QueueName="orders")["QueueUrl"]
            names = {"MessageAttributeNames": ["All"], "AttributeNames": ["All"]}
            (message,) = sqs.receive_message(QueueUrl=url, **names)["Messages"]
            sim.state("got", {name: one["DataType"] for name, one in message["MessageAttributes"].items()})
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            attributes = {
                "count": {"DataType": "Number", "StringValue": "7"},
                "blob": {"DataType": "Binary.gzip", "BinaryValue": b"z"},
            }
            sqs.send_message(QueueUrl=url, MessageBody="from boto3", MessageAttributes=attributes)
            (message,) = sqs.receive_message(QueueUrl=url, VisibilityTimeout=0, **names)["Messages"]
            sim.state("kept", message["MessageAttributes"])

        (node,) = sim.node("program", program, mortal=False)
        await node.ended.wait()
        (received,) = await sim.backend.receive(queue, limit=1, wait_s=0, lease_s=30)
        sim.state("seen", (received.body, dict(received.attributes)))
        await sim.backend.purge(queue)

    states = once(scenario, loop=loop).outcome.states
    assert states["got"] == {"text": "String", "bytes": "Binary"}
    assert states["kept"] == {
        "count": {"DataType": "Number", "StringValue": "7"},
        "blob": {"DataType": "Binary.gzip", "BinaryValue": b"z"},
    }
    assert states["seen"] == ("from boto3", {"count": "7", "blob": b"z"})


@both_loops
@pytest.mark.parametrize("make", ["client", "session", "resource"])
def test_a_client_of_the_programs_own_is_led_here_and_goes_its_way_elsewhere(loop: Loop, make: str) -> None:
    session = make_session(region_name="eu-west-1", account="123456789012")
    target = make_client(region_name="eu-west-1", account="123456789012") if make == "client" else session
    if make == "resource":
        target = session.resource("sqs")

    async def scenario(sim: Sim) -> None:
        await sim.queue("orders")
        sim.attach(target)
        sqs = {
            "client": lambda: target,
            "session": lambda: target.client("sqs"),
            "resource": lambda: target.meta.client,
        }[make]()

        def program(_: Incarnation) -> None:
            sim.state("url", sqs.get_queue_url(QueueName="orders")["QueueUrl"].rpartition("/")[2])

        (node,) = sim.node("program", program, mortal=False)
        await node.ended.wait()

    assert once(scenario, loop=loop).outcome.states == {"url": "orders"}
    if make == "client":
        with emulated_sqs() as elsewhere:
            elsewhere.attach(target)
            assert "QueueUrls" not in target.list_queues()


@both_loops
def test_an_async_program_hands_its_calls_to_threads(loop: Loop) -> None:
    async def scenario(sim: Sim) -> None:
        await sim.queue("orders")

        async def program(_: Incarnation) -> None:
            sqs = sim.boto3_client()

            def send() -> str:
                url = str(sqs.get_queue_url(QueueName="orders")["QueueUrl"])
                sqs.send_message(QueueUrl=url, MessageBody="one")
                anyio.from_thread.run(anyio.sleep, 5)
                return url

            url = await anyio.to_thread.run_sync(send)
            received = await anyio.to_thread.run_sync(lambda: sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20))
            (message,) = received["Messages"]
            await anyio.to_thread.run_sync(
                lambda: sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            )
            sim.state("at", anyio.current_time())

        (node,) = sim.node("program", program, mortal=False)
        await node.ended.wait()

    assert once(scenario, loop=loop, threads="inline").outcome.states == {"at": 5}


def test_a_call_that_would_block_the_event_loop_is_refused_by_name() -> None:
    async def scenario(sim: Sim) -> None:
        await sim.queue("orders")

        async def program(_: Incarnation) -> None:
            sim.boto3_client().list_queues()

        sim.node("program", program, mortal=False)
        await anyio.sleep(0.5)

    with pytest.raises(SimulationFailedError, match="ListQueues in an async function is not simulated"):
        simulate(scenario, seeds=1)


def test_the_scenario_itself_makes_queues_and_looks_without_waiting() -> None:
    async def scenario(sim: Sim) -> None:
        sqs = sim.boto3_client()
        url = sqs.create_queue(QueueName="orders", Attributes={"VisibilityTimeout": "7"})["QueueUrl"]
        assert "Messages" not in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)
        sqs.send_message(QueueUrl=url, MessageBody="one")
        (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        sim.state("at", anyio.current_time())

    assert once(scenario).outcome.states == {"at": 0}


def test_an_emulated_sqs_is_refused_since_its_calls_would_miss_the_simulation() -> None:
    with emulated_sqs() as elsewhere:
        client = elsewhere.client()

        async def scenario(sim: Sim) -> None:
            await sim.queue("orders")
            client.list_queues()

        (violation,) = replay(scenario, f.script()).violations
    assert "sim.boto3_client()" in violation.text


def test_a_bus_and_a_program_on_boto3_work_on_one_queue() -> None:
    async def scenario(sim: Sim) -> None:
        bus = Bus("shop")
        got: list[Any] = []

        @bus.foreign(queue="orders")
        async def take(message: Any) -> None:
            got.append(message)

        await sim.queue("orders")

        def program(_: Incarnation) -> None:
            sqs = sim.boto3_client()
            sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName="orders")["QueueUrl"], MessageBody='{"order": 1}')

        async with bus.connect(sim.url) as live, live.running():
            sim.node("program", program, mortal=False)
            await anyio.sleep(1)
        sim.state("got", len(got))

    assert once(scenario).outcome.states == {"got": 1}
