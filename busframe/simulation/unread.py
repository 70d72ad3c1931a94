"""Outcomes of a batch that know whether anybody has looked at them: who does not will not see an entry fail.

Only a calm world hands them out: for the hazard `unchecked_batch`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, SupportsIndex, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from busframe.simulation.record import Entry

T = TypeVar("T")


class Outcomes(list[T]):
    """What came of each entry, in order.

    Args:
        outcomes: of the entries.
        call: what was called, and when.

    Attributes:
        looked_at: somebody has read one of them at least. How many there are may be asked without that.
    """

    def __init__(self, outcomes: Sequence[T], call: Entry) -> None:
        super().__init__(outcomes)
        self.call = call
        self.looked_at = False

    def __iter__(self) -> Iterator[T]:
        self.looked_at = True
        return super().__iter__()

    def __reversed__(self) -> Iterator[T]:
        self.looked_at = True
        return super().__reversed__()

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        self.looked_at = True
        return super().__getitem__(index)

    def __contains__(self, outcome: object) -> bool:
        self.looked_at = True
        return super().__contains__(outcome)

    def __eq__(self, other: object) -> bool:
        self.looked_at = True
        return super().__eq__(other)

    __hash__ = None  # as every list's
