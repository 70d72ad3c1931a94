"""Java SDK v2. It checks the MD5 of bodies, attributes and system attributes."""

from __future__ import annotations

import pytest
from sdks.expected import Refusal, expected
from sdks.toolchain import PROGRAMS, jars, seen_by


def surface(refusal: Refusal) -> object:
    modelled = refusal.shape.removesuffix("Exception") + "Exception"
    return [modelled if refusal.modelled else "SqsException", refusal.code, refusal.status]


@pytest.mark.sdks
@pytest.mark.timeout(600)
def test_the_java_sdk_sees_what_it_should() -> None:
    libraries = jars("software.amazon.awssdk", "sqs", "2.54.14")
    assert seen_by("java", "-cp", f"{libraries}/*", PROGRAMS / "Judge.java") == expected(surface)
