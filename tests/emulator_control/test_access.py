"""Who is let in to look and to turn knobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from emulator_control.asking import Ask

from busframe_emulator.server.control.access import check
from busframe_emulator.server.control.answers import RefusedError
from busframe_emulator.server.request import FETCH_SITE, HOST, ORIGIN, Request
from busframe_emulator.server.thread import run_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

QUEUES = "/_busframe/queues"
TOKEN = "a token"  # noqa: S105 - of a test


@pytest.fixture
def guarded() -> Iterator[Ask]:
    with run_in_thread(control_token=TOKEN) as server:
        yield Ask(server.port)


def request(host: str = "localhost:9324", **headers: str) -> Request:
    made = Request()
    made.headers = {HOST: host.encode(), **{name.encode(): value.encode() for name, value in headers.items()}}
    return made


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"])
def test_this_machine_is_let_in(peer: str) -> None:
    check(request(), peer, None)


@pytest.mark.parametrize("peer", ["192.168.0.7", "::ffff:192.168.0.7", "2001:db8::1", "", "fe80::1%eth0"])
def test_another_machine_is_not(peer: str) -> None:
    with pytest.raises(RefusedError, match="--control-token") as caught:
        check(request(), peer, None)
    assert caught.value.status == 403


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "sqs.localhost:9324", "127.0.0.1:9324", "[::1]:9324"])
def test_the_names_of_this_machine_are_known(ask: Ask, host: str) -> None:
    assert ask.get(QUEUES, Host=host).status == 200


@pytest.mark.parametrize("host", ["evil.example:9324", "127.0.0.1.evil.example", "localhost.evil.example", "evil", ""])
def test_a_name_that_was_made_to_point_here_is_refused(ask: Ask, host: str) -> None:
    for path in (QUEUES, "/metrics", "/_busframe/clock"):
        assert ask.get(path, Host=host).status == 403


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost:3000", "null"])
def test_a_page_of_another_site_is_refused(ask: Ask, origin: str) -> None:
    assert ask.post("/_busframe/reset", Origin=origin).status == 403
    assert ask.get(QUEUES, Origin=origin).status == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_browser_that_says_so_is_refused(ask: Ask, site: str) -> None:
    assert ask.get(QUEUES, Sec_Fetch_Site=site).status == 403


def test_the_page_itself_is_let_in(ask: Ask) -> None:
    origin = f"http://127.0.0.1:{ask.port}"
    assert ask.post("/_busframe/reset", {}, Origin=origin, Sec_Fetch_Site="same-origin").status == 200


def test_with_a_token_nobody_is_let_in_without_it(guarded: Ask) -> None:
    for headers in ({}, {"Authorization": "Bearer another"}, {"Authorization": f"Basic {TOKEN}"}):
        for path in (QUEUES, "/metrics"):
            answer = guarded.get(path, **headers)
            assert answer.status == 401
            assert answer.headers["www-authenticate"] == "Bearer"


def test_with_a_token_whoever_has_it_is_let_in_by_any_name(guarded: Ask) -> None:
    answer = guarded.get(QUEUES, Authorization=f"Bearer {TOKEN}", Host="sqs.internal:9324")
    assert answer.status == 200
    check(request("sqs.internal", authorization=f"bearer {TOKEN}"), "192.168.0.7", TOKEN)


def test_even_with_a_token_a_page_of_another_site_is_refused() -> None:
    stranger = request(authorization=f"Bearer {TOKEN}")
    stranger.headers[ORIGIN] = b"https://evil.example"
    with pytest.raises(RefusedError):
        check(stranger, "127.0.0.1", TOKEN)
    stranger.headers = {**request(authorization=f"Bearer {TOKEN}").headers, FETCH_SITE: b"cross-site"}
    with pytest.raises(RefusedError):
        check(stranger, "127.0.0.1", TOKEN)


def test_health_and_sqs_need_no_token(guarded: Ask) -> None:
    assert guarded.get("/health").document == {"status": "ok"}
    assert guarded.get("/?Action=ListQueues").status == 200


def test_an_action_through_the_control_url_is_guarded_too(guarded: Ask) -> None:
    assert guarded.post("/_busframe/actions/CreateQueue", {"QueueName": "x"}).status == 401
