"""Tools for tests: the backend contract as a test suite.

Needs pytest. Call `pytest.register_assert_rewrite("busframe.testing.conformance")` before the first import, so that a
failing check shows its values.
"""

from busframe.testing.conformance import BackendConformance, Trial

__all__ = ["BackendConformance", "Trial"]
