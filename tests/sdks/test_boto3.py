"""The boto3 of this environment. It believes every MD5 it is given, so the table here is what checks them."""

from __future__ import annotations

import sys

import pytest
from sdks.expected import botocore, expected
from sdks.toolchain import PROGRAMS, seen_by


@pytest.mark.sdks
@pytest.mark.timeout(600)
def test_boto3_sees_what_it_should() -> None:
    program = (sys.executable, PROGRAMS / "python_sdk.py", "boto3", "MessageSystemAttributeNames")
    assert seen_by(*program) == expected(botocore)
