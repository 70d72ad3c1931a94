"""HTTP as a test, a script or a browser sends it."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from threading import Thread
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def document(self) -> Any:
        return json.loads(self.text)


class Ask:
    """Ask a server on this machine."""

    def __init__(self, port: int) -> None:
        self.port = port

    def __call__(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Answer:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
            connection.request(method, path, raw, dict(headers or {}))
            response = connection.getresponse()
            given = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, given, response.read().decode())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self("GET", path, None, {name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, path: str, body: object = None, **headers: str) -> Answer:
        return self("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})

    def queue(self, name: str) -> Any:
        """What is told of one queue."""
        [found] = [queue for queue in self.get("/_busframe/queues").document["queues"] if queue["name"] == name]
        return found


class Poll:
    """A long poll under way in a thread."""

    def __init__(self, sqs: Any, queue_url: str) -> None:
        self._bodies: list[str] = []
        self._thread = Thread(target=self._run, args=(sqs, queue_url))
        self._thread.start()

    def _run(self, sqs: Any, queue_url: str) -> None:
        answer = sqs.receive_message(QueueUrl=queue_url, WaitTimeSeconds=20)
        self._bodies = [message["Body"] for message in answer.get("Messages", [])]

    def join(self) -> list[str]:
        self._thread.join(10)
        assert not self._thread.is_alive()
        return self._bodies
