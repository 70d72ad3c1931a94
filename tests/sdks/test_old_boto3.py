"""A boto3 from before November 2023, which speaks the Query protocol."""

from __future__ import annotations

import pytest
from sdks.expected import Refusal, botocore, expected
from sdks.toolchain import PROGRAMS, python_with, seen_by


def surface(refusal: Refusal) -> object:
    """This error was not modelled in those days."""
    return botocore(refusal._replace(modelled=refusal.modelled and refusal.shape != "InvalidAttributeValue"))


@pytest.mark.sdks
@pytest.mark.timeout(600)
def test_an_old_boto3_sees_what_it_should() -> None:
    python = python_with("boto3==1.28.60", "botocore==1.31.60")
    assert seen_by(python, PROGRAMS / "python_sdk.py", "boto3", "AttributeNames") == expected(surface)
