"""The plainest of clients: one connection, JSON, and answers taken when the test wants them."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from select import select
from typing import Any, Self

_SCOPE = "AWS4-HMAC-SHA256 Credential=x/20261121/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=0"


class Asking:
    """A connection to a server."""

    def __init__(self, port: int) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=30)

    def ask(self, action: str, **given: Any) -> Self:
        """Send a request."""
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": f"AmazonSQS.{action}",
            "Authorization": _SCOPE,
        }
        self._connection.request("POST", "/", json.dumps(given), headers)
        return self

    def take(self) -> tuple[int, dict[str, Any]]:
        """Wait for the answer: its status and its body."""
        response = self._connection.getresponse()
        return response.status, json.loads(response.read() or b"{}")

    def call(self, action: str, **given: Any) -> dict[str, Any]:
        """Ask, and take the answer, which has to be a good one."""
        status, answer = self.ask(action, **given).take()
        assert status == 200, answer
        return answer

    def post(self, path: str, **given: Any) -> None:
        """Send a request to another address."""
        self._connection.request("POST", path, json.dumps(given), {"Content-Type": "application/json"})

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        self._connection.request("GET", path)
        return self.take()

    def is_answered(self) -> bool:
        """Whether anything of the answer is there."""
        return bool(select([self._connection.sock], [], [], 0)[0])

    def close(self) -> None:
        self._connection.close()
