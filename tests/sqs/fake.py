"""A boto3 client that only notes what it is asked, and errors as boto3 raises them."""

from __future__ import annotations

import queue
from importlib import import_module
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from busframe_sqs.client import Message

    Answer = Callable[..., object]


class FakeClient:
    """Stands in for a boto3 client: notes every call, and answers as told.

    A receive is held in its thread until the test lets it go, as SQS holds a long poll.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, Answer] = {}
        self._asked: queue.Queue[str] = queue.Queue()
        self._polls: queue.Queue[Sequence[Message]] = queue.Queue()

    def answer(self, name: str, answer: object) -> None:
        """Answer this call with that, from now on."""

        def call(**_parameters: object) -> object:
            return answer

        self.answers[name] = call

    def refuse(self, name: str, code: str) -> None:
        """Let this call fail with that error of SQS, from now on."""

        def call(**_parameters: object) -> object:
            raise service_error(code)

        self.answers[name] = call

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.calls]

    def parameters(self, name: str) -> list[dict[str, Any]]:
        return [parameters for called, parameters in self.calls if called == name]

    async def asked(self, name: str) -> None:
        """Wait until the next call, which must be of this name, is at the service."""
        with anyio.fail_after(10):
            assert await anyio.to_thread.run_sync(self._asked.get, abandon_on_cancel=True) == name

    def let_go(self, *messages: Message) -> None:
        """End one receive that is held, or the next one."""
        self._polls.put(messages)

    def __getattr__(self, name: str) -> Answer:
        if name.startswith("_"):
            raise AttributeError(name)

        def call(**parameters: object) -> object:
            self.calls.append((name, parameters))
            self._asked.put(name)
            return self.answers.get(name, getattr(self, f"_{name}", _nothing))(**parameters)

        return call

    def _get_queue_url(self, *, QueueName: str) -> object:  # noqa: N803 - the service's spelling
        return {"QueueUrl": f"http://there/1/{QueueName}"}

    def _receive_message(self, **_parameters: object) -> object:
        messages = self._polls.get(timeout=30)
        return {"Messages": messages} if messages else {}


def service_error(code: str, status: int = 400) -> Exception:
    """Make a `ClientError` as boto3 raises it. Typed here, since botocore is not."""
    exceptions: Any = import_module("botocore.exceptions")
    answer = {"Error": {"Code": code, "Message": "because"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    error: Exception = exceptions.ClientError(answer, "Operation")
    return error


def _nothing(**_parameters: object) -> object:
    return {}
