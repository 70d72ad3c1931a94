"""Prints what counts: messages a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Add a table of messages a second, medians, to pytest-benchmark's own."""
    session = getattr(config, "_benchmarksession", None)
    if session is None or not session.benchmarks:
        return
    terminalreporter.section("messages a second (median)")
    for bench in session.benchmarks:
        messages = cast("int | None", bench.extra_info.get("messages"))
        if messages:
            terminalreporter.write_line(
                f"{bench.fullname.removeprefix('benchmarks/'):<60} {messages / bench.stats.median:>12,.0f}"
            )
    for bench in session.benchmarks:
        if lines := cast("list[str]", bench.extra_info.get("lines", [])):
            terminalreporter.section(bench.fullname.removeprefix("benchmarks/"))
            for line in lines:
                terminalreporter.write_line(line)
