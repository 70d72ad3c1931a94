"""A server that verifies: what botocore signs is let in, and what was bent on the way is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pytest
from botocore.exceptions import ClientError
from emulator_access.signing import ALICE, BOB, FORM, GUEST, JSON_HEADERS, KEYS, Answer, request, send, sign

from busframe_emulator.wire.verified import Key, Keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from busframe_emulator.server.thread import ThreadedServer

MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)


def ask(server: ThreadedServer, protocol: str) -> Any:
    """ListQueues, unsigned, in one of the ways it can be asked for."""
    match protocol:
        case "json":
            return request(server.url + "/")
        case "post":
            return request(
                server.url + "/", body=b"Action=ListQueues&Version=2012-11-05", headers={"Content-Type": FORM}
            )
        case _:
            return request(server.url + "/?Version=2012-11-05&Action=ListQueues", "GET", b"", headers={"Accept": "*/*"})


PROTOCOLS = pytest.mark.parametrize("protocol", ["json", "post", "get"])


def test_boto3_with_a_known_key_can_do_everything(server: ThreadedServer, client_of: Callable[..., Any]) -> None:
    sqs = client_of(server)
    url = sqs.create_queue(QueueName="orders")["QueueUrl"]
    assert url == f"{server.url}/111111111111/orders"
    sqs.send_message(QueueUrl=url, MessageBody="héllo %20 + &=")
    [message] = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1)["Messages"]
    assert message["Body"] == "héllo %20 + &="
    assert "QueueUrls" not in client_of(server, BOB).list_queues()
    assert "QueueUrls" not in client_of(server, ALICE, "eu-west-1").list_queues()


def test_a_key_with_a_session_token_needs_it(server: ThreadedServer, client_of: Callable[..., Any]) -> None:
    client_of(server, GUEST).list_queues()
    for key in (
        Key(access_key=GUEST.access_key, secret=GUEST.secret, account=GUEST.account),
        Key(access_key=GUEST.access_key, secret=GUEST.secret, account=GUEST.account, session_token="x"),  # noqa: S106
        Key(access_key=ALICE.access_key, secret=ALICE.secret, account=ALICE.account, session_token="x"),  # noqa: S106
    ):
        with pytest.raises(ClientError, match="InvalidClientTokenId"):
            client_of(server, key).list_queues()


@PROTOCOLS
def test_what_is_signed_is_let_in_by_every_protocol(server: ThreadedServer, protocol: str) -> None:
    assert send(sign(ask(server, protocol))).status == 200


def test_a_queues_own_url_may_be_signed(server: ThreadedServer, client_of: Callable[..., Any]) -> None:
    url = client_of(server).create_queue(QueueName="orders")["QueueUrl"]
    # AWS: a space is signed as %20, however it is sent; botocore signs a URL as it is.
    query = urlencode({"Action": "SendMessage", "MessageBody": "a b~é/*", "Version": "2012-11-05"}, quote_via=quote)
    assert send(sign(request(f"{url}?{query}", "GET", b"", headers={"Accept": "*/*"}))).status == 200
    assert client_of(server).receive_message(QueueUrl=url)["Messages"][0]["Body"] == "a b~é/*"


@pytest.mark.parametrize("key", [ALICE, GUEST])
def test_a_presigned_url_is_good_until_it_expires(server: ThreadedServer, key: Key) -> None:
    assert send(sign(ask(server, "get"), key, presigned=True, age_s=1200)).status == 200
    expired = send(sign(ask(server, "get"), key, presigned=True, age_s=1200, expires_s=60))
    assert expired.status == 403
    assert expired.error[0] == "SignatureDoesNotMatch"
    assert expired.error[1].startswith("Signature expired: ")


def test_a_presigned_url_cannot_be_made_to_live_longer(server: ThreadedServer) -> None:
    signed = sign(ask(server, "get"), presigned=True, expires_s=60)
    signed.url = signed.url.replace("Expires=60", "Expires=6000")
    assert send(signed).error == ("SignatureDoesNotMatch", MISMATCH)


def refuse(answer: Answer, status: int, code: str, text: str) -> None:
    assert (answer.status, answer.error) == (status, (code, text))


@PROTOCOLS
def test_an_unknown_key_is_refused(server: ThreadedServer, protocol: str) -> None:
    stranger = Key(access_key="AKIDNOBODY", secret="x", account="111111111111")  # noqa: S106 - nobody's
    answer = send(sign(ask(server, protocol), stranger))
    refuse(answer, 403, "InvalidClientTokenId", "The security token included in the request is invalid.")


@PROTOCOLS
def test_a_wrong_secret_is_refused(server: ThreadedServer, protocol: str) -> None:
    wrong = Key(access_key=ALICE.access_key, secret="x", account="111111111111")  # noqa: S106 - nobody's
    refuse(send(sign(ask(server, protocol), wrong)), 403, "SignatureDoesNotMatch", MISMATCH)


@PROTOCOLS
def test_an_unsigned_request_is_refused(server: ThreadedServer, protocol: str) -> None:
    answer = send(ask(server, protocol))
    refuse(answer, 403, "MissingAuthenticationToken", "Request is missing Authentication Token")


@PROTOCOLS
def test_half_a_signature_is_refused(server: ThreadedServer, protocol: str) -> None:
    signed = sign(ask(server, protocol))
    signed.headers.replace_header("Authorization", signed.headers["Authorization"].partition(", Signature")[0])
    text = "Authorization header requires 'Signature' parameter."
    refuse(send(signed), 400, "IncompleteSignature", text)


@PROTOCOLS
@pytest.mark.parametrize(("age_s", "text"), [(1000, "Signature expired: "), (-1000, "Signature not yet current: ")])
def test_an_old_or_future_signature_is_refused(server: ThreadedServer, protocol: str, age_s: float, text: str) -> None:
    answer = send(sign(ask(server, protocol), age_s=age_s))
    assert (answer.status, answer.error[0]) == (403, "SignatureDoesNotMatch")
    assert answer.error[1].startswith(text)


def test_moving_the_emulators_clock_makes_no_signature_old(
    server: ThreadedServer, client_of: Callable[..., Any]
) -> None:
    server.advance(86_400)
    client_of(server).list_queues()


@pytest.mark.parametrize("protocol", ["json", "post"])
def test_a_signature_sent_again_with_another_body_is_refused(server: ThreadedServer, protocol: str) -> None:
    signed = sign(ask(server, protocol))
    assert send(signed).status == 200
    refuse(send(signed, signed.body + b" "), 403, "SignatureDoesNotMatch", MISMATCH)


@pytest.mark.parametrize("value", ["UNSIGNED-PAYLOAD", "0" * 64])
def test_a_payload_hash_that_is_not_the_bodys_is_refused(server: ThreadedServer, value: str) -> None:
    signed = sign(request(server.url + "/", headers={**JSON_HEADERS, "X-Amz-Content-SHA256": value}))
    refuse(send(signed), 403, "SignatureDoesNotMatch", MISMATCH)


def test_a_payload_hash_that_is_the_bodys_is_let_in(server: ThreadedServer) -> None:
    value = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"  # of {}
    assert send(sign(request(server.url + "/", headers={**JSON_HEADERS, "X-Amz-Content-SHA256": value}))).status == 200


def test_a_signed_request_cannot_be_turned_into_another_action(server: ThreadedServer) -> None:
    signed = sign(ask(server, "json"))
    signed.headers.replace_header("X-Amz-Target", "AmazonSQS.DeleteQueue")
    refuse(send(signed), 403, "SignatureDoesNotMatch", MISMATCH)
    signed = sign(request(server.url + "/", headers={"Content-Type": FORM}))
    signed.headers["X-Amz-Target"] = "AmazonSQS.ListQueues"
    text = "'x-amz-target' must be a 'SignedHeader' in the AWS Authorization."
    refuse(send(signed), 403, "SignatureDoesNotMatch", text)


@PROTOCOLS
def test_a_signature_for_another_service_is_refused(server: ThreadedServer, protocol: str) -> None:
    answer = send(sign(ask(server, protocol), service="sns"))
    refuse(answer, 403, "SignatureDoesNotMatch", "Credential should be scoped to correct service: 'sqs'. ")


@PROTOCOLS
def test_a_signature_for_a_region_that_is_not_served_is_refused(
    serve: Callable[..., ThreadedServer], protocol: str
) -> None:
    server = serve(keys=Keys(keys=KEYS.keys, regions=frozenset({"us-east-1"})))
    assert send(sign(ask(server, protocol))).status == 200
    answer = send(sign(ask(server, protocol), region="eu-west-1"))
    refuse(answer, 403, "SignatureDoesNotMatch", "Credential should be scoped to a valid region, not 'eu-west-1'. ")


def test_a_signature_for_one_region_is_none_for_another(server: ThreadedServer) -> None:
    signed = sign(ask(server, "json"))
    authorization = signed.headers["Authorization"].replace("us-east-1", "eu-west-1")
    signed.headers.replace_header("Authorization", authorization)
    refuse(send(signed), 403, "SignatureDoesNotMatch", MISMATCH)


def test_an_error_has_the_shape_of_its_protocol(server: ThreadedServer) -> None:
    answer = send(ask(server, "json"))
    assert answer.headers["content-type"] == "application/x-amz-json-1.0"
    assert answer.headers["x-amzn-query-error"] == "MissingAuthenticationToken;Sender"
    assert '"com.amazon.coral.service#MissingAuthenticationTokenException"' in answer.text
    xml = send(ask(server, "post"))
    assert xml.headers["content-type"] == "text/xml"
    assert "<ErrorResponse " in xml.text
    asked = ask(server, "get")
    asked.headers.replace_header("Accept", "application/json")
    assert send(asked).text.startswith('{"Error":{"Code":"MissingAuthenticationToken"')


def test_who_is_not_let_in_learns_nothing_of_what_is_wrong_with_the_rest(server: ThreadedServer) -> None:
    assert send(request(server.url + "/", body=b"not json")).error[0] == "MissingAuthenticationToken"


def test_bytes_that_are_no_text_are_refused_and_not_choked_on(server: ThreadedServer) -> None:
    signed = sign(ask(server, "get"), presigned=True)
    for bent in ("&x=%FF", "&%FF", "&X-Amz-Security-Token=%FF", "&=", "&&&"):
        answer = send(request(signed.url + bent, "GET", b"", headers={"Accept": "*/*"}))
        assert answer.status in {400, 403, 200}, bent
        assert (answer.status == 200) == (bent == "&&&")


def test_health_needs_no_signature(server: ThreadedServer) -> None:
    assert send(request(server.url + "/health", "GET", b"", headers={"Accept": "*/*"})).status == 200


def test_without_keys_nothing_is_verified(serve: Callable[..., ThreadedServer]) -> None:
    assert send(request(serve().url + "/")).status == 200
