"""Families of metrics as values: to be written down in Prometheus's text format, version 0.0.4, or put together first.

Several processes that do one piece of work are asked for one page: what each counted is added up, so that the page has
the same series as that of a single process, whatever their number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Kind = Literal["counter", "gauge", "histogram"]
Together = Literal["sum", "min", "max"]

Sample = tuple[str, dict[str, str], float]
"""What follows the family's name (a histogram's `_bucket`), labels, value."""

_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_PUT_TOGETHER: Final[dict[Together, Callable[[float, float], float]]] = {
    "sum": lambda one, other: one + other,
    "min": min,
    "max": max,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """All samples of one name.

    Attributes:
        name: whole, with `_total` where it is a counter.
        help_text: a sentence.
        samples: no two have the same labels.
        together: what the same sample of several processes comes to.
    """

    name: str
    kind: Kind
    help_text: str
    samples: tuple[Sample, ...]
    together: Together = "sum"


def merged(pages: Iterable[Sequence[Family]]) -> tuple[Family, ...]:
    """Put the pages of several processes together into one; families stand where they were first seen."""
    families: dict[str, Family] = {}
    values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], Sample]] = {}
    for page in pages:
        for family in page:
            known = values.setdefault(families.setdefault(family.name, family).name, {})
            put_together = _PUT_TOGETHER[family.together]
            for suffix, labels, value in family.samples:
                key = suffix, tuple(sorted(labels.items()))
                had = known.get(key)
                known[key] = (suffix, labels, value if had is None else put_together(had[2], value))
    return tuple(replace(family, samples=tuple(values[name].values())) for name, family in families.items())


def lasting(page: Iterable[Family]) -> tuple[Family, ...]:
    """What counts on when its process is gone: how things are is over with it, what happened is not."""
    return tuple(family for family in page if family.kind != "gauge")


def written(page: Iterable[Family]) -> str:
    """Write it down for Prometheus."""
    lines: list[str] = []
    for family in page:
        lines += (f"# HELP {family.name} {family.help_text}", f"# TYPE {family.name} {family.kind}")
        lines += (f"{family.name}{suffix}{_labels(labels)} {value:.17g}" for suffix, labels, value in family.samples)
    return "\n".join([*lines, ""])


def _labels(labels: dict[str, str]) -> str:
    pairs = (f'{label}="{text.translate(_ESCAPES)}"' for label, text in labels.items())
    return f"{{{','.join(pairs)}}}"
