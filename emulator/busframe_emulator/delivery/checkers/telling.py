"""A report for people, and for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from busframe_emulator.delivery.checkers.verdicts import CHECKS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from busframe_emulator.delivery.checkers.verdicts import Finding, Report

_WIDTH: Final = max(map(len, CHECKS)) + 2


def as_text(report: Report) -> str:
    """A table of all checks, and below each what was found."""
    return "\n".join(_lines(report))


def as_data(report: Report) -> dict[str, Any]:
    """The same for JSON."""
    return {
        "state": report.state,
        "level": report.level,
        "events": report.events,
        "checks": {
            name: {
                "state": verdict.state,
                "violations": verdict.violations,
                "undecided": verdict.undecided,
                "allowed": verdict.allowed,
                "findings": [asdict(finding) for finding in verdict.findings],
            }
            for name, verdict in report.verdicts.items()
        },
        "notes": dict(report.notes),
    }


def _lines(report: Report) -> Iterator[str]:
    yield f"{report.state}: {report.events:,} events, at the level of the {report.level}"
    for name, verdict in report.verdicts.items():
        found = verdict.violations + verdict.undecided
        yield f"  {name:<{_WIDTH}}{verdict.state:<11}{_counted(found, allowed=verdict.allowed)}".rstrip()
        if verdict.allowed or not found:
            continue
        yield f"    {CHECKS[name]}:"
        for finding in verdict.findings:
            yield f"    {_told(finding)}"
        if found > len(verdict.findings):
            yield f"    ... and {found - len(verdict.findings):,} more"
    for note, count in report.notes.items():
        yield f"  {count:,} {note}"


def _counted(found: int, *, allowed: bool) -> str:
    return f"{found:,} found{', allowed' if allowed else ''}" if found else ""


def _told(finding: Finding) -> str:
    what = f"{finding.queue}#{finding.message}" if finding.message else finding.queue
    delivery = f" delivery {finding.delivery}" if finding.delivery else ""
    may_be = "" if finding.certain else " (it may be)"
    return f"t={finding.at_us / 1e6:.6f} {what}{delivery}: {finding.text}{may_be}"
