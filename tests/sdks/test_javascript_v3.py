"""JavaScript SDK v3. It checks the MD5 of bodies."""

from __future__ import annotations

import pytest
from sdks.expected import Refusal, expected
from sdks.toolchain import PROGRAMS, node_modules, seen_by


def surface(refusal: Refusal) -> object:
    return [refusal.shape if refusal.modelled else "SQSServiceException", refusal.code, refusal.status]


@pytest.mark.sdks
@pytest.mark.timeout(600)
def test_the_javascript_sdk_v3_sees_what_it_should() -> None:
    modules = node_modules("@aws-sdk/client-sqs", "3.1169.0")
    program = ("node", PROGRAMS / "javascript.cjs", "v3", "MessageSystemAttributeNames")
    assert seen_by(*program, environment={"NODE_PATH": str(modules)}) == expected(surface)
