"""Go SDK v2. It checks the MD5 of bodies."""

from __future__ import annotations

import pytest
from sdks.expected import Refusal, expected
from sdks.toolchain import PROGRAMS, go_program, seen_by


def surface(refusal: Refusal) -> object:
    return [refusal.shape if refusal.modelled else "GenericAPIError", refusal.code, refusal.status]


@pytest.mark.sdks
@pytest.mark.timeout(600)
def test_the_go_sdk_sees_what_it_should() -> None:
    program = go_program(PROGRAMS / "main.go", "github.com/aws/aws-sdk-go-v2/service/sqs", "v1.52.9")
    assert seen_by(program) == expected(surface)
