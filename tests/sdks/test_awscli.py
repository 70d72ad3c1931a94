"""The command `aws` of this environment. All it shows of an error is a sentence with the code."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from sdks.expected import Refusal, expected
from sdks.toolchain import PROGRAMS, seen_by

AWS = Path(sys.executable).with_name("aws")


def surface(refusal: Refusal) -> object:
    return [refusal.code]


@pytest.mark.sdks
@pytest.mark.timeout(600)
@pytest.mark.skipif(not AWS.exists(), reason="awscli is not installed here")
def test_the_command_line_sees_what_it_should() -> None:
    program = (sys.executable, PROGRAMS / "python_sdk.py", "cli", "MessageSystemAttributeNames")
    # It takes no bytes but those of text, in UTF-8.
    text = expected(surface, blob="AMO/EMKA", md5_of_attributes="2e58450c920d189566d0e4872902380e")
    assert seen_by(*program, environment={"COMMAND": str(AWS)}) == text
