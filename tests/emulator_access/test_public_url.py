"""What queue URLs begin with: the caller's host, or what was said to be public."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from emulator_access.signing import KEYS, request, send

from busframe_emulator.server.emulator import EmulatorServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from busframe_emulator.server.thread import ThreadedServer


def test_queue_urls_follow_the_callers_host(serve: Callable[..., ThreadedServer]) -> None:
    server = serve()
    asked = request(
        server.url + "/?Action=CreateQueue&QueueName=q", "GET", b"", headers={"Host": "sqs.test:99", "Accept": "*/*"}
    )
    assert "<QueueUrl>http://sqs.test:99/000000000000/q</QueueUrl>" in send(asked).text


@pytest.mark.parametrize(
    "public_url", ["https://sqs.example.com", "https://sqs.example.com/", "http://10.0.0.1:99/sqs"]
)
@pytest.mark.parametrize("keys", [None, KEYS])
def test_queue_urls_begin_with_the_public_url_and_can_be_used(
    serve: Callable[..., ThreadedServer], client_of: Callable[..., Any], public_url: str, keys: Any
) -> None:
    sqs = client_of(serve(public_url=public_url, keys=keys))
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    account = "111111111111" if keys else "000000000000"
    assert url == f"{public_url.rstrip('/')}/{account}/q"
    assert sqs.get_queue_url(QueueName="q")["QueueUrl"] == url
    assert sqs.list_queues()["QueueUrls"] == [url]
    sqs.send_message(QueueUrl=url, MessageBody="x")


@pytest.mark.parametrize(
    "public_url",
    ["", "sqs.example.com", "ftp://x", "https://", "https://x?y", "https://x y", "https://a@b", "http://x/#"],
)
def test_what_queue_urls_cannot_begin_with_is_refused(public_url: str) -> None:
    with pytest.raises(ValueError, match="the public URL has to be like"):
        EmulatorServer(public_url=public_url)
