"""What checkers say: findings, and a verdict of three values for each check.

A check is violated, or it is undecided (from what is known it may or may not be), or it is fine. Put together, the
worst of them counts.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

State = Literal["ok", "undecided", "violation"]

KEPT_MAX: Final = 20
"""Findings kept of each check; the others are counted."""

CHECKS: Final[Mapping[str, str]] = {
    "invented": "a message was delivered that nobody had sent",
    "corrupted": "a message was delivered other than it was sent",
    "lost": "a message that was accepted was never delivered",
    "stuck": "a message that is due again is not delivered any more",
    "early": "a message was delivered before its delay was over",
    "while_invisible": "a message was delivered while it was hidden, and nothing had shown it",
    "after_delete": "a message was delivered after it was deleted",
    "after_retention": "a message was delivered after its retention period",
    "expired_early": "a message was dropped before its retention period was over",
    "receive_count": "a delivery's count or times do not follow from the deliveries before it",
    "dlq": "a message went to the dead-letter queue too early, too late or to the wrong one",
    "fifo_order": "a message overtook an earlier one of its group",
    "fifo_exclusion": "a group was served while an earlier message of it was in flight",
    "dedup": "a duplicate was accepted, or what is none was refused",
    "handle": "a receipt had an effect that it must not have, or none that it must have",
    "batch": "an entry of a batch has no fate or two, or a failed one had an effect",
    "prompt": "a message could be received, and a receive waited all the same",
    "counts": "counts were shown that had not been true for a minute",
    "cap": "more messages were in flight than may be",
}
"""Every check, and what it means that it is violated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that must not be, or may not be.

    Attributes:
        check: one of `CHECKS`.
        at_us: when, on the clock of the history.
        queue, message, delivery: what it is about; "", "" or 0 where it is about none. A message is called as in the
            history: by its ordinal at the engine, by its identifier at a client.
        text: in one line.
        certain: a violation; else undecided.
    """

    check: str
    at_us: int
    queue: str
    message: int | str
    delivery: int
    text: str
    certain: bool = True


@dataclass(slots=True, kw_only=True)
class Verdict:
    """Of one check.

    Attributes:
        violations, undecided: how many findings of either kind there were.
        findings: the first of them.
        allowed: what was found counts as fine.
    """

    check: str
    violations: int = 0
    undecided: int = 0
    findings: list[Finding] = field(default_factory=list[Finding])
    allowed: bool = False

    @property
    def state(self) -> State:
        """The worst that was found."""
        if self.allowed:
            return "ok"
        return "violation" if self.violations else "undecided" if self.undecided else "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Of all checks.

    Attributes:
        level: "engine": of effects at exact times; "client": of calls, each somewhere between its beginning and end.
        events: how many were looked at.
        verdicts: by check, those that this level can make.
        notes: what else is worth knowing, counted: why messages were delivered again, what came in unseen.
    """

    level: Literal["engine", "client"]
    events: int
    verdicts: Mapping[str, Verdict]
    notes: Mapping[str, int]

    @property
    def state(self) -> State:
        """The worst of all verdicts."""
        states = {verdict.state for verdict in self.verdicts.values()}
        return "violation" if "violation" in states else "undecided" if "undecided" in states else "ok"

    @property
    def findings(self) -> Sequence[Finding]:
        """Those of all checks that are not allowed, in the order of time."""
        found = [one for verdict in self.verdicts.values() if not verdict.allowed for one in verdict.findings]
        return sorted(found, key=lambda one: one.at_us)


class Findings:
    """Collects.

    Args:
        checks: that can come up.
        allow: checks whose findings count as fine.

    Raises:
        ValueError: there is no such check.
    """

    def __init__(self, checks: Collection[str], allow: Collection[str] = ()) -> None:
        self.verdicts = {name: Verdict(check=name) for name in CHECKS if name in checks}
        self.notes: Counter[str] = Counter()
        self.allow(allow)

    def allow(self, names: Collection[str]) -> None:
        """Let what these checks find count as fine, and nothing else.

        Raises:
            ValueError: there is no such check.
        """
        for name in names:
            if name not in CHECKS:
                raise ValueError(f"allow: there is no check {name!r}; there are {', '.join(CHECKS)}")
        for name, verdict in self.verdicts.items():
            verdict.allowed = name in names

    def add(self, finding: Finding) -> None:
        """Count a finding, and keep it if it is among the first."""
        verdict = self.verdicts[finding.check]
        if finding.certain:
            verdict.violations += 1
        else:
            verdict.undecided += 1
        if len(verdict.findings) < KEPT_MAX:
            verdict.findings.append(finding)
