"""JavaScript SDK v2: its last version, and one that spoke the Query protocol. Both check the MD5 of bodies."""

from __future__ import annotations

import pytest
from sdks.expected import Refusal, expected
from sdks.toolchain import PROGRAMS, node_modules, seen_by


def see(version: str, system_names: str) -> object:
    modules = node_modules("aws-sdk", version)
    program = ("node", PROGRAMS / "javascript.cjs", "v2", system_names)
    return seen_by(*program, environment={"NODE_PATH": str(modules)})


@pytest.mark.sdks
@pytest.mark.timeout(600)
def test_the_last_javascript_sdk_v2_sees_what_it_should() -> None:
    def surface(refusal: Refusal) -> object:
        return [refusal.shape, refusal.code, refusal.status]

    assert see("2.1693.0", "MessageSystemAttributeNames") == expected(surface)


@pytest.mark.sdks
@pytest.mark.timeout(600)
def test_a_javascript_sdk_v2_of_the_query_protocol_sees_what_it_should() -> None:
    def surface(refusal: Refusal) -> object:
        return [refusal.code, refusal.code, refusal.status]

    assert see("2.1480.0", "AttributeNames") == expected(surface)
