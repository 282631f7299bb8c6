"""When a chain is measured and kept, and the arrays that take the results."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from systems.lattices.monte_carlo.compiled import compiled


@dataclass(frozen=True)
class Schedule:
    """How many sweeps, and what is recorded of them.

    Args:
        n_sweeps: Sweeps after the burn-in, at least 1.
        n_burn_in: Sweeps at the start of which nothing is kept.
        measure_every: Sweeps from one record to the next.
        store_every: Records from one stored configuration to the next; 0 stores none.

    Raises:
        ValueError: A number is not an integer or too small.
    """

    n_sweeps: int
    n_burn_in: int = 0
    measure_every: int = 1
    store_every: int = 0

    def __post_init__(self) -> None:
        least = {"n_sweeps": 1, "n_burn_in": 0, "measure_every": 1, "store_every": 0}
        for name, smallest in least.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < smallest:
                raise ValueError(
                    f"{name}: expected an integer of at least {smallest}, got {value!r}"
                )

    @property
    def n_records(self) -> int:
        """Number of measurements."""
        return self.n_sweeps // self.measure_every

    @property
    def n_stored(self) -> int:
        """Number of stored configurations."""
        return self.n_records // self.store_every if self.store_every else 0


class Plan(NamedTuple):
    """A schedule as compiled code takes it."""

    n_burn_in: int
    n_sweeps: int
    measure_every: int
    store_every: int


class Records(NamedTuple):
    """What compiled code writes; the first axis counts chains.

    Args:
        bond_sum: int64 (n_chains, n_records).
        spin_sum: int64 (n_chains, n_records).
        flipped: Spins in the clusters flipped since the last record, int64 (n_chains, n_records).
        spins: Stored configurations, int8 (n_chains, n_stored, V).
    """

    bond_sum: np.ndarray
    spin_sum: np.ndarray
    flipped: np.ndarray
    spins: np.ndarray


def make_plan(schedule: Schedule) -> Plan:
    """Bring a schedule into the form of compiled code."""
    return Plan(schedule.n_burn_in, schedule.n_sweeps, schedule.measure_every, schedule.store_every)


def make_records(schedule: Schedule, n_chains: int, n_sites: int) -> Records:
    """Arrays for the results of a schedule, zero at first."""
    bond_sum, spin_sum, flipped = np.zeros((3, n_chains, schedule.n_records), dtype=np.int64)
    spins = np.zeros((n_chains, schedule.n_stored, n_sites), dtype=np.int8)
    return Records(bond_sum, spin_sum, flipped, spins)


@compiled
def record_index(plan: Plan, n_done: int) -> int:
    """Index of the record that is due after so many sweeps of all, -1 where none is."""
    n = n_done - plan.n_burn_in
    if n <= 0 or n % plan.measure_every != 0:
        return -1
    return n // plan.measure_every - 1


@compiled
def stored_index(plan: Plan, record: int) -> int:
    """Index under which the configuration of a record is stored, -1 where it is not."""
    if plan.store_every == 0 or (record + 1) % plan.store_every != 0:
        return -1
    return (record + 1) // plan.store_every - 1
