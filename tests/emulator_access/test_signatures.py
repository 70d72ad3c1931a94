"""Signature Version 4 by itself: AWS's own test suite, and what is wrong with a signature."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from busframe_emulator.engine.errors import SqsError
from busframe_emulator.wire.sigv4 import Signature, Signed, check_scope, check_signature, read_signature

if TYPE_CHECKING:
    from collections.abc import Mapping

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"  # noqa: S105 - AWS's example
NOW = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
SCOPE = "AKIDEXAMPLE/20150830/us-east-1/{service}/aws4_request"
UNRESERVED = b"-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
VANILLA = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"


class Vector(NamedTuple):
    name: str
    signature: str
    method: bytes = b"GET"
    url: bytes = b"/"
    headers: Mapping[bytes, bytes] = {}
    body: bytes = b""


VECTORS = [
    Vector("get-vanilla", VANILLA),
    Vector("get-relative", VANILLA, url=b"/example/.."),
    Vector("get-relative-relative", VANILLA, url=b"/example1/example2/../.."),
    Vector("get-slash", VANILLA, url=b"//"),
    Vector("get-slash-dot-slash", VANILLA, url=b"/./"),
    Vector("get-slashes", "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84", url=b"//example//"),
    Vector("get-space", "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741", url=b"/example space/"),
    Vector("get-utf8", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85", url="/ሴ".encode()),
    Vector(
        "get-vanilla-query-order-key-case",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        url=b"/?Param2=value2&Param1=value1",
    ),
    Vector(
        "get-vanilla-empty-query-key",
        "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
        url=b"/?Param1=value1",
    ),
    Vector(
        "get-vanilla-query-unreserved",
        "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
        url=b"/?%b=%b" % (UNRESERVED, UNRESERVED),
    ),
    Vector(
        "get-header-key-duplicate",
        "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
        headers={b"my-header1": b"value2,value2,value1"},
    ),
    Vector(
        "get-header-value-trim",
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
        headers={b"my-header1": b" value1", b"my-header2": b' "a   b   c"'},
    ),
    Vector("post-vanilla", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b", method=b"POST"),
    Vector(
        "post-x-www-form-urlencoded",
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        method=b"POST",
        headers={b"content-type": b"application/x-www-form-urlencoded"},
        body=b"Param1=value1",
    ),
]


def signed(vector: Vector, *, service: str = "service", host: bytes = b"example.amazonaws.com") -> Signed:
    headers = {b"host": host, b"x-amz-date": b"20150830T123600Z", **vector.headers}
    names = ";".join(sorted(name.decode() for name in headers))
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={SCOPE.format(service=service)}, SignedHeaders={names}, "
        f"Signature={vector.signature}"
    )
    return Signed(vector.method, vector.url, {**headers, b"authorization": authorization.encode()}, vector.body)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
def test_the_signature_of_awss_test_suite_is_right_and_any_other_wrong(vector: Vector) -> None:
    request = signed(vector)
    signature = read_signature(request)
    check_signature(signature, request, SECRET)
    for changed in (
        request._replace(method=b"PUT"),
        request._replace(url=request.url + b"x"),
        request._replace(body=request.body + b"x"),
        request._replace(headers={**request.headers, b"host": b"x"}),
    ):
        with pytest.raises(SqsError, match="signature we calculated does not match"):
            check_signature(signature, changed, SECRET)
    with pytest.raises(SqsError, match="signature we calculated does not match"):
        check_signature(signature, request, SECRET + "x")


def test_the_signature_of_awss_documentation_is_right() -> None:
    """AWS General Reference, "Signing AWS requests": ListUsers of IAM."""
    request = signed(
        Vector(
            "iam",
            "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
            url=b"/?Action=ListUsers&Version=2010-05-08",
            headers={b"content-type": b"application/x-www-form-urlencoded; charset=utf-8"},
        ),
        service="iam",
        host=b"iam.amazonaws.com",
    )
    check_signature(read_signature(request), request, SECRET)


def scope_of(text: str = "20150830/us-east-1/sqs/aws4_request", stamp: str = "20150830T123600Z") -> Signature:
    headers = {
        b"host": b"x",
        b"x-amz-date": stamp.encode(),
        b"authorization": f"AWS4-HMAC-SHA256 Credential=A/{text},SignedHeaders=host,Signature=0".encode(),
    }
    return read_signature(Signed(b"GET", b"/", headers, b""))


@pytest.mark.parametrize(
    ("scope", "text"),
    [
        ("20150830/US_EAST/sqs/aws4_request", "Credential should be scoped to a valid region, not 'US_EAST'. "),
        ("20150830/us-east-1/s3/aws4_request", "Credential should be scoped to correct service: 'sqs'. "),
        (
            "20150830/us-east-1/sqs/aws3",
            "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws3'. ",
        ),
        (
            "20150829/us-east-1/sqs/aws4_request",
            (
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
                "'20150829' != '20150830', from '20150830T123600Z'."
            ),
        ),
    ],
)
def test_a_scope_for_something_else_is_refused(scope: str, text: str) -> None:
    with pytest.raises(SqsError) as caught:
        check_scope(scope_of(scope), NOW)
    assert (caught.value.shape, caught.value.text) == ("InvalidSignatureException", text)


@pytest.mark.parametrize(
    ("stamp", "text"),
    [
        ("20150830T122100Z", None),
        ("20150830T125100Z", None),
        (
            "20150830T122059Z",
            "Signature expired: 20150830T122059Z is now earlier than 20150830T122100Z (20150830T123600Z - 15 min.)",
        ),
        (
            "20150830T125101Z",
            (
                "Signature not yet current: 20150830T125101Z is still later than 20150830T125100Z "
                "(20150830T123600Z + 15 min.)"
            ),
        ),
    ],
)
def test_a_date_may_be_off_by_fifteen_minutes(stamp: str, text: str | None) -> None:
    signature = scope_of(stamp=stamp)
    if text is None:
        check_scope(signature, NOW)
    else:
        with pytest.raises(SqsError) as caught:
            check_scope(signature, NOW)
        assert caught.value.text == text


def test_a_date_may_be_in_the_form_of_the_header_date() -> None:
    headers = {
        b"date": b"Sun, 30 Aug 2015 12:36:00 GMT",
        b"authorization": b"AWS4-HMAC-SHA256 Credential=A/20150830/us-east-1/sqs/aws4_request, SignedHeaders=host, "
        b"Signature=0",
    }
    assert read_signature(Signed(b"GET", b"/", headers, b"")).signed_at == NOW


GOOD = "Credential=A/20150830/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=0"
ALL_MISSING = (
    "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. "
    "Authorization header requires 'SignedHeaders' parameter. "
    "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
)


@pytest.mark.parametrize(
    ("authorization", "date", "text"),
    [
        ("AWS4-HMAC-SHA256 x=y", "", ALL_MISSING),
        ("AWS4-HMAC-SHA256 " + GOOD, "", "requires existence of either"),
        ("AWS4-HMAC-SHA256 " + GOOD, "yesterday", "Date must be in ISO-8601 'basic format'. Got 'yesterday'."),
        ("AWS4-HMAC-SHA256 " + GOOD, "20151330T000000Z", "Date must be in ISO-8601"),
        ("AWS4-HMAC-SHA256", "", "not a valid key=value pair"),
        ("AWS4-HMAC-SHA256 Credential", "20150830T123600Z", "'Credential' not a valid key=value pair"),
        ("Basic dXNlcjpwYXNz", "20150830T123600Z", "Unsupported AWS 'algorithm': 'Basic'."),
        ("AWS4-HMAC-SHA256 " + GOOD.replace("A/", ""), "20150830T123600Z", "exactly 5 slash-delimited elements"),
        ("AWS4-HMAC-SHA256 " + GOOD + "\udcff", "20150830T123600Z", "plain ASCII"),
    ],
)
def test_what_is_missing_or_malformed_is_named(authorization: str, date: str, text: str) -> None:
    headers = {b"authorization": authorization.encode(errors="surrogateescape"), b"x-amz-date": date.encode()}
    with pytest.raises(SqsError) as caught:
        read_signature(Signed(b"GET", b"/", headers, b""))
    assert caught.value.shape == "IncompleteSignatureException"
    assert text in caught.value.text


PRESIGNED = {
    "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
    "X-Amz-Credential": "A/20150830/us-east-1/sqs/aws4_request",
    "X-Amz-Date": "20150830T123600Z",
    "X-Amz-SignedHeaders": "host",
    "X-Amz-Expires": "60",
    "X-Amz-Signature": "0",
}


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"X-Amz-Credential": ""}, "AWS query-string parameters must include 'X-Amz-Credential'"),
        ({"X-Amz-Date": ""}, "AWS query-string parameters must include 'X-Amz-Date'"),
        ({"X-Amz-Algorithm": "AWS4"}, "Unsupported AWS 'algorithm': 'AWS4'."),
        ({"X-Amz-Expires": "0"}, "X-Amz-Expires must be between 1 and 604800 seconds."),
        ({"X-Amz-Expires": "604801"}, "X-Amz-Expires must be between 1 and 604800 seconds."),
        ({"X-Amz-Expires": "-1"}, "X-Amz-Expires should be a number."),
        ({"X-Amz-Date": "%FF"}, "plain ASCII"),
    ],
)
def test_what_is_wrong_with_a_presigned_url_is_named(changed: dict[str, str], text: str) -> None:
    query = "&".join(f"{name}={value}" for name, value in {**PRESIGNED, **changed}.items())
    with pytest.raises(SqsError) as caught:
        read_signature(Signed(b"GET", f"/?{query}".encode(), {}, b""))
    assert caught.value.shape == "IncompleteSignatureException"
    assert text in caught.value.text


def test_what_is_not_signed_at_all_misses_its_token() -> None:
    with pytest.raises(SqsError, match="Request is missing Authentication Token"):
        read_signature(Signed(b"GET", b"/?Action=ListQueues", {b"host": b"x"}, b""))


@pytest.mark.parametrize("header", [b"host", b"x-amz-target"])
def test_a_header_that_has_to_be_signed_and_is_not_is_named(header: bytes) -> None:
    request = signed(VECTORS[0])
    signature = read_signature(request)._replace(signed_headers=("x-amz-date",) if header == b"host" else ("host",))
    request = request._replace(headers={b"host": b"x", header: b"x"})
    with pytest.raises(SqsError, match="must be a 'SignedHeader' in the AWS Authorization"):
        check_signature(signature, request, SECRET)


SHORT = st.binary(max_size=40)


@given(
    url=SHORT,
    headers=st.dictionaries(
        st.sampled_from([b"host", b"x-amz-date", b"date", b"x-amz-security-token", b"x-amz-x"]), SHORT
    ),
    authorization=st.none() | SHORT | SHORT.map(lambda end: b"AWS4-HMAC-SHA256 " + GOOD.encode() + end),
    query=st.none() | st.dictionaries(st.sampled_from(list(PRESIGNED)), SHORT),
)
def test_whatever_is_sent_is_refused_in_order(
    url: bytes, headers: dict[bytes, bytes], authorization: bytes | None, query: dict[str, bytes] | None
) -> None:
    if authorization is not None:
        headers = {**headers, b"authorization": authorization}
    if query is not None:
        pairs = {name: value.encode() for name, value in PRESIGNED.items()} | query
        url += b"?" + b"&".join(name.encode() + b"=" + value for name, value in pairs.items())
    request = Signed(b"GET", url, headers, b"")
    with pytest.raises(SqsError) as caught:
        check_signature(read_signature(request), request, SECRET)
    caught.value.text.encode()
