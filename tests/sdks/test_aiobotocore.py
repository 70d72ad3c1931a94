"""aiobotocore. Its errors are botocore's."""

from __future__ import annotations

import pytest
from sdks.expected import botocore, expected
from sdks.toolchain import PROGRAMS, python_with, seen_by


@pytest.mark.sdks
@pytest.mark.timeout(600)
def test_aiobotocore_sees_what_it_should() -> None:
    program = (python_with("aiobotocore==3.10.0"), PROGRAMS / "python_sdk.py", "aio", "MessageSystemAttributeNames")
    assert seen_by(*program) == expected(botocore)
