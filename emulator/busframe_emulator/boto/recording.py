"""Records what boto3 clients of any SQS asked for and were told, real or foreign, for `busframe check`.

    recorder = ClientRecorder()
    recorder.attach(boto3.client("sqs"))
    ...
    recorder.save("history.jsonl")

Bodies are kept as their MD5. A call that botocore repeated counts as one that went as told, and one more whose outcome
nobody knows.
"""

from __future__ import annotations

import json
import time
from hashlib import md5
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from busframe_emulator.delivery.client_history import Call, ClientHistory, QueueFacts, Seen, write_client_history

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping

    from busframe_emulator.delivery.client_history import Operation, Outcome

_KEY: Final = "busframe_recorder"
_SERVER_FAILED: Final = 500
_BATCHES: Final[Mapping[str, Operation]] = {
    "SendMessageBatch": "send",
    "DeleteMessageBatch": "delete",
    "ChangeMessageVisibilityBatch": "visibility",
}
_SINGLE: Final[Mapping[str, Operation]] = {
    "SendMessage": "send",
    "DeleteMessage": "delete",
    "ChangeMessageVisibility": "visibility",
    "ReceiveMessage": "receive",
    "PurgeQueue": "purge",
    "StartMessageMoveTask": "move",
}


class _Begun(NamedTuple):
    """A call that is under way."""

    client: str
    action: str
    at_us: int
    asked: Mapping[str, Any]


class ClientRecorder:
    """Listens to clients. Its methods are for any thread, as far as appending to a list is.

    Args:
        now_us: the clock; None for the machine's.

    Attributes:
        history: so far, in the order in which calls ended.
    """

    def __init__(self, now_us: Callable[[], int] | None = None) -> None:
        self.history = ClientHistory()
        self._now_us = now_us or _machine_us

    def attach(self, client: Any, name: str = "") -> None:
        """Listen to a boto3 client, or to all SQS clients of a botocore session, from now on.

        Args:
            client: a client; what has `meta.events`.
            name: what the history calls it.
        """
        events = client.meta.events

        def begin(params: Any, model: Any, context: dict[str, Any], **_: Any) -> None:
            context[_KEY] = _Begun(name, model.name, self._now_us(), params)

        events.register_last("provide-client-params.sqs", begin)
        events.register_last("after-call.sqs", self._end)
        events.register_last("after-call-error.sqs", self._fail)

    def lines(self) -> Iterator[str]:
        """The history as lines of JSON."""
        return write_client_history(self.history)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the history into a file."""
        with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123 - a path-like is enough
            file.writelines(f"{line}\n" for line in self.lines())

    def _end(self, parsed: Mapping[str, Any], context: Mapping[str, Any], **_: Any) -> None:
        if _KEY not in context:
            return
        metadata = parsed.get("ResponseMetadata", {})
        outcome: Outcome = "ok"
        retried = metadata.get("RetryAttempts", 0)
        if "Error" in parsed:
            # What an earlier try has done, the last one's refusal does not say.
            outcome = "unknown" if metadata.get("HTTPStatusCode", 0) >= _SERVER_FAILED or retried else "fail"
        self._record(context[_KEY], outcome, parsed)
        if retried and outcome == "ok":
            self._record(context[_KEY], "unknown", {})

    def _fail(self, context: Mapping[str, Any], **_: Any) -> None:
        if _KEY in context:
            self._record(context[_KEY], "unknown", {})

    def _record(self, begun: _Begun, outcome: Outcome, answer: Mapping[str, Any]) -> None:
        action, asked = begun.action, begun.asked
        url = answer.get("QueueUrl") or asked.get("QueueUrl") or asked.get("SourceArn", "").replace(":", "/")
        queue = str(url).rpartition("/")[2]
        if outcome == "ok":
            self._note_settings(action, queue, asked, answer)
        common: dict[str, Any] = {"queue": queue, "began": begun.at_us, "ended": self._now_us(), "client": begun.client}
        if action in _BATCHES:
            self._record_batch(_BATCHES[action], common, outcome, asked, answer)
        elif action in _SINGLE:
            operation = _SINGLE[action]
            told: dict[str, Any] = {}
            if operation == "send":
                told = _told(answer)
            elif operation == "receive":
                told = {"messages": _seen(answer)}
            call = Call(op=operation, outcome=outcome, **common, **_asked(operation, asked), **told)
            self.history.calls.append(call)

    def _record_batch(
        self,
        operation: Operation,
        common: Mapping[str, Any],
        outcome: Outcome,
        asked: Mapping[str, Any],
        answer: Mapping[str, Any],
    ) -> None:
        good = {entry["Id"]: entry for entry in answer.get("Successful", ())}
        bad = {entry["Id"] for entry in answer.get("Failed", ())}
        for entry in asked.get("Entries", ()):
            name = entry["Id"]
            fate: Outcome = outcome
            if outcome == "ok":
                fate = _FATES[name in good, name in bad]
            told = _told(good[name]) if operation == "send" and name in good else {}
            self.history.calls.append(Call(op=operation, outcome=fate, **common, **_asked(operation, entry), **told))

    def _note_settings(self, action: str, queue: str, asked: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        if action in {"CreateQueue", "SetQueueAttributes"}:
            told: Mapping[str, str] = asked.get("Attributes", {})
        elif action == "GetQueueAttributes":
            told = answer.get("Attributes", {})
        else:
            return
        facts = self.history.queues.get(queue, QueueFacts(visibility_s=30.0, retention_s=345_600.0))
        self.history.queues[queue] = QueueFacts(
            fifo=queue.endswith(".fifo"),
            visibility_s=float(told.get("VisibilityTimeout", facts.visibility_s or 0.0)),
            delay_s=float(told.get("DelaySeconds", facts.delay_s)),
            retention_s=float(told.get("MessageRetentionPeriod", facts.retention_s or 0.0)),
            max_receives=_max_receives(told, facts.max_receives),
            deduplicates_by_group=told.get("DeduplicationScope", "") == "messageGroup" or facts.deduplicates_by_group,
        )


_FATES: Final[Mapping[tuple[bool, bool], Outcome]] = {
    (True, False): "ok",
    (False, True): "fail",
    (False, False): "missing",
    (True, True): "both",
}


def _asked(operation: Operation, asked: Mapping[str, Any]) -> dict[str, Any]:
    match operation:
        case "send":
            return {
                "body": md5(asked.get("MessageBody", "").encode(), usedforsecurity=False).hexdigest(),
                "group": asked.get("MessageGroupId"),
                "deduplication": asked.get("MessageDeduplicationId"),
                "delay_s": asked.get("DelaySeconds"),
            }
        case "receive":
            return {
                "visibility_s": asked.get("VisibilityTimeout"),
                "wait_s": float(asked.get("WaitTimeSeconds", 0)),
                "attempt": asked.get("ReceiveRequestAttemptId"),
            }
        case "delete":
            return {"receipt": asked.get("ReceiptHandle", "")}
        case "visibility":
            return {"receipt": asked.get("ReceiptHandle", ""), "visibility_s": asked.get("VisibilityTimeout")}
        case _:
            return {}


def _told(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": answer.get("MessageId", "")}


def _seen(answer: Mapping[str, Any]) -> tuple[Seen, ...]:
    return tuple(
        Seen(
            id=message["MessageId"],
            receipt=message["ReceiptHandle"],
            body=message.get("MD5OfBody", ""),
            count=int(message.get("Attributes", {}).get("ApproximateReceiveCount", 0)),
            group=message.get("Attributes", {}).get("MessageGroupId"),
            sequence=message.get("Attributes", {}).get("SequenceNumber"),
        )
        for message in answer.get("Messages", ())
    )


def _max_receives(told: Mapping[str, str], before: int | None) -> int | None:
    if "RedrivePolicy" not in told:
        return before
    policy = json.loads(told["RedrivePolicy"] or "{}")
    return int(policy.get("maxReceiveCount", 0))


def _machine_us() -> int:
    return time.time_ns() // 1_000  # noqa: TID251 - what it records happens in real time
