"""A count of target evaluations by phase: the currency in which samplers are compared."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class EnergyLedger:
    """Counts evaluations of an energy, with or without its force, by phase.

    One molecular-dynamics step counts as one evaluation, and so does one configuration whose
    energy a target returns. Evaluations outside any `phase` block go to "other", so that nothing
    is lost and a forgotten block shows.

    Example:
        >>> ledger = EnergyLedger()
        >>> with ledger.phase("training"):
        ...     ledger.add(512)
        >>> ledger.add(1000, phase="data")
        >>> ledger.as_dict()
        {'training': 512, 'data': 1000}
        >>> ledger.total
        1512
    """

    def __init__(self, counts: Mapping[str, int] | None = None) -> None:
        self._counts: dict[str, int] = {}
        self._phase = "other"
        for phase, n in (counts or {}).items():
            self.add(n, phase=phase)

    @contextmanager
    def phase(self, name: str) -> Iterator["EnergyLedger"]:
        """Book every evaluation inside the block under `name`; blocks nest."""
        outer, self._phase = self._phase, name
        try:
            yield self
        finally:
            self._phase = outer

    def add(self, n: int, *, phase: str | None = None) -> None:
        """Book n evaluations under `phase`, or under that of the enclosing block.

        Raises:
            ValueError: n is not a whole number of at least 0.
        """
        if isinstance(n, bool) or not isinstance(n, int) or n < 0:
            raise ValueError(f"n: expected an integer of at least 0, got {n!r}")
        key = self._phase if phase is None else phase
        self._counts[key] = self._counts.get(key, 0) + n

    def __getitem__(self, phase: str) -> int:
        """Return the count of one phase, 0 where nothing was booked."""
        return self._counts.get(phase, 0)

    @property
    def total(self) -> int:
        """Evaluations over all phases."""
        return sum(self._counts.values())

    def as_dict(self) -> dict[str, int]:
        """Return the counts by phase, ready for JSON; `EnergyLedger(counts)` reads them back."""
        return dict(self._counts)
