"""What an sqs:// URL may say, and what is missing where it cannot be opened."""

from __future__ import annotations

import sys

import pytest

from busframe.config import BackendUrl, backend_factory
from busframe.errors import InvalidArgumentError, MissingExtraError
from busframe_sqs import open_sqs
from busframe_sqs.settings import SqsSettings


def settings(url: str) -> SqsSettings:
    return SqsSettings.from_url(BackendUrl.parse(url))


def test_a_region_is_enough() -> None:
    assert settings("sqs://eu-west-1") == SqsSettings(region="eu-west-1")


def test_every_parameter_is_read() -> None:
    url = (
        "sqs://eu-west-1?prefix=dev-&endpoint_url=http://127.0.0.1:4566/&profile=staging&polls=30&calls=4&wait_s=5"
        "&large_bucket=bodies&large_prefix=shop/&large_endpoint_url=http://127.0.0.1:9000"
    )
    assert settings(url) == SqsSettings(
        region="eu-west-1",
        prefix="dev-",
        endpoint_url="http://127.0.0.1:4566/",
        profile="staging",
        polls=30,
        calls=4,
        wait_s=5,
        large_bucket="bodies",
        large_prefix="shop/",
        large_endpoint_url="http://127.0.0.1:9000",
    )


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("sqs://", "url"),
        ("sqs://eu-west-1/orders", "url"),
        ("sqs://EU", "url"),
        ("sqs://eu-west-1?prefx=dev-", "url parameter"),
        ("sqs://eu-west-1?prefix=a/b", "url parameter prefix"),
        ("sqs://eu-west-1?prefix=" + "a" * 80, "url parameter prefix"),
        ("sqs://eu-west-1?endpoint_url=localhost:4566", "url parameter endpoint_url"),
        ("sqs://eu-west-1?endpoint_url=http://", "url parameter endpoint_url"),
        ("sqs://eu-west-1?polls=0", "url parameter polls"),
        ("sqs://eu-west-1?calls=2.5", "url parameter calls"),
        ("sqs://eu-west-1?calls=many", "url parameter calls"),
        ("sqs://eu-west-1?wait_s=21", "url parameter wait_s"),
        ("sqs://eu-west-1?large_bucket=No_Bucket", "url parameter large_bucket"),
        ("sqs://eu-west-1?large_prefix=shop/", "url parameter large_prefix"),
        ("sqs://eu-west-1?large_bucket=bodies&large_prefix=a|b", "url parameter large_prefix"),
        ("sqs://eu-west-1?large_bucket=bodies&large_endpoint_url=s3", "url parameter large_endpoint_url"),
    ],
)
def test_a_bad_url_is_refused_before_anything_happens(url: str, named: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        open_sqs(BackendUrl.parse(url))
    assert caught.value.parameter == named


def test_a_url_without_a_region_is_said_as_it_was_written() -> None:
    with pytest.raises(InvalidArgumentError, match="url='sqs://' is not allowed: sqs://region, such as"):
        settings("sqs://")


def test_the_backend_is_found_by_its_scheme() -> None:
    assert backend_factory("sqs") is open_sqs


@pytest.mark.anyio
async def test_without_boto3_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(MissingExtraError, match=r"busframe\[sqs\]"):
        async with open_sqs(BackendUrl.parse("sqs://eu-west-1")):
            pass


@pytest.mark.anyio
@pytest.mark.parametrize("endpoint_url", ["http://a b", "http://[1"])
async def test_a_host_that_is_none_is_refused(endpoint_url: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        async with open_sqs(BackendUrl.parse(f"sqs://eu-west-1?endpoint_url={endpoint_url}")):
            pass
    assert caught.value.parameter == "url parameter endpoint_url"


@pytest.mark.anyio
async def test_a_profile_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    with pytest.raises(InvalidArgumentError, match="nobody"):
        async with open_sqs(BackendUrl.parse("sqs://eu-west-1?profile=nobody")):
            pass
