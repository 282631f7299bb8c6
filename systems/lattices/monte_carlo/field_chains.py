"""Reference Monte Carlo of a scalar field: chains of Hamiltonian trajectories and cluster steps.

A sweep is a number of trajectories and, where wanted, one step of clusters, which carries the
field over the barrier between its two signs. During the burn-in every chain adapts its step size;
after it step sizes are fixed. A run takes the state of the chains and returns the state after it,
so that long runs can be made in pieces: the pieces join to what one run would have given.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from numba import prange
from torch import Generator

from systems.lattices.geometry import check_lattice, neighbour_table
from systems.lattices.monte_carlo.compiled import compiled, compiled_over_chains
from systems.lattices.monte_carlo.field_arguments import (
    check_count,
    check_couplings,
    check_fields,
    check_steps,
)
from systems.lattices.monte_carlo.field_clusters import flip_cluster, flip_half
from systems.lattices.monte_carlo.field_dynamics import Box, Coefficients, make_box
from systems.lattices.monte_carlo.field_heat_bath import FieldCouplings
from systems.lattices.monte_carlo.hamiltonian import Trajectory
from systems.lattices.monte_carlo.scalar_field import FieldSums
from systems.lattices.monte_carlo.schedule import (
    Plan,
    Schedule,
    make_plan,
    record_index,
    stored_index,
)
from systems.lattices.monte_carlo.step_sizes import adapt, begin_tuning
from systems.lattices.monte_carlo.streams import first_lane, keep_first_lane, make_streams
from systems.lattices.monte_carlo.trajectories import Motion, load_field, make_work_space, move


@dataclass(frozen=True)
class FieldChains:
    """State of the chains; nothing else carries over from one run to the next.

    Args:
        x: Configurations, float64 (n_chains, L_1, ..., L_d).
        streams: As `make_streams` returns them.
        step_size: Above 0, float64 (n_chains,).

    Raises:
        ValueError: A dtype, a shape or a number is wrong.
    """

    x: np.ndarray
    streams: np.ndarray
    step_size: np.ndarray

    def __post_init__(self) -> None:
        check_fields(self.x, self.streams)
        object.__setattr__(self, "step_size", check_steps(self.step_size, self.n_chains))

    @property
    def n_chains(self) -> int:
        """Number of chains."""
        return self.x.shape[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the lattice."""
        return self.x.shape[1:]


def start_field(
    shape: Sequence[int],
    n_chains: int,
    *,
    generator: Generator,
    step_size: float = 0.2,
) -> FieldChains:
    """Chains at independent normal numbers of variance 1.

    Args:
        shape: Lengths of the lattice.
        n_chains: Number of chains.
        generator: For the streams and the fields.
        step_size: First step size, from which the burn-in adapts.

    Raises:
        ValueError: The shape is no lattice, there is no chain, or the step size is not above 0.
    """
    full = (n_chains, *check_lattice(shape))
    streams = make_streams(n_chains, generator=generator)
    x = torch.randn(full, generator=generator, device=generator.device, dtype=torch.float64)
    return FieldChains(x.cpu().numpy(), streams, check_steps(step_size, n_chains))


@dataclass(frozen=True)
class FieldSweep:
    """What one sweep does.

    Args:
        trajectory: Number and kind of steps.
        n_trajectories: Trajectories in a sweep.
        clusters: Whether a step of clusters follows, and of which kind; needs hopping of at
            least 0.
        n_clusters: Single clusters in a step of "wolff"; 1 for the other kind.

    Raises:
        ValueError: A number is below 1, or a word is unknown.
    """

    trajectory: Trajectory = Trajectory()
    n_trajectories: int = 1
    clusters: Literal["wolff", "swendsen-wang"] | None = None
    n_clusters: int = 1

    def __post_init__(self) -> None:
        check_count("n_trajectories", self.n_trajectories)
        check_count("n_clusters", self.n_clusters)
        if self.clusters not in (None, "wolff", "swendsen-wang"):
            raise ValueError(
                f"clusters: expected 'wolff', 'swendsen-wang' or None, got {self.clusters!r}"
            )
        if self.clusters != "wolff" and self.n_clusters != 1:
            raise ValueError(f"n_clusters: expected 1 unless wolff, got {self.n_clusters}")


@dataclass(frozen=True)
class FieldRun:
    """What a run returns.

    Args:
        chains: The state at the end, with the step sizes of the last sweep.
        sums: Of every record, float64 (n_chains, n_records) each.
        acceptance: Mean acceptance of the trajectories since the last record, of that shape.
        flipped: Mean number of sites that a sweep's clusters flipped since the last record.
        x: Stored configurations, float64 (n_chains, n_stored, L_1, ..., L_d).
    """

    chains: FieldChains
    sums: FieldSums
    acceptance: np.ndarray
    flipped: np.ndarray
    x: np.ndarray


def run_field(
    chains: FieldChains,
    couplings: FieldCouplings,
    schedule: Schedule,
    *,
    sweep: FieldSweep,
    acceptance: float = 0.8,
) -> FieldRun:
    """Advance the chains by a number of sweeps.

    Each sweep of the burn-in adapts the step size of each chain, and the last one sets it to an
    average; some hundreds are needed. A run without burn-in leaves the step sizes as they are.

    Args:
        chains: Where they start; left as it is.
        couplings: a, b and t, a number or one for each chain (n_chains,).
        schedule: How many sweeps, and what is recorded.
        sweep: What one sweep does.
        acceptance: Wanted mean acceptance, between 0 and 1.

    Raises:
        ValueError: A number is out of range, the action has no minimum, or t is negative where
            there are clusters.
    """
    n_chains, shape = chains.n_chains, chains.shape
    couplings = check_couplings(couplings, n_chains, len(shape))
    if sweep.clusters is not None and not (couplings.hopping >= 0).all():
        raise ValueError(
            f"hopping: expected numbers of at least 0 for clusters, got {couplings.hopping}"
        )
    if not 0 < acceptance < 1:
        raise ValueError(f"acceptance: expected a number between 0 and 1, got {acceptance}")
    x, streams = chains.x.reshape(n_chains, -1).copy(), chains.streams.copy()
    state = _State(x, streams, chains.step_size.copy())
    records = _Records(
        np.zeros((n_chains, schedule.n_records, 6)),
        np.zeros((n_chains, schedule.n_stored, x.shape[1])),
    )
    rule = _make_rule(shape, sweep, acceptance)
    _run_chains(state, couplings, rule, make_box(shape), make_plan(schedule), records)
    series = np.moveaxis(records.series, -1, 0).copy()
    return FieldRun(
        chains=FieldChains(x.reshape(chains.x.shape), streams, state.step_size),
        sums=FieldSums(*series[:4]),
        acceptance=series[4],
        flipped=series[5],
        x=records.x.reshape(n_chains, schedule.n_stored, *shape),
    )


class _State(NamedTuple):
    """What changes, of all chains: x float64 (n_chains, V), streams, step sizes."""

    x: np.ndarray
    streams: np.ndarray
    step_size: np.ndarray


class _Records(NamedTuple):
    """What is written: series (n_chains, n_records, 6) and x (n_chains, n_stored, V)."""

    series: np.ndarray
    x: np.ndarray


class _Rule(NamedTuple):
    """What a sweep does, in compiled form; of the two numbers of clusters one is 0 or both are."""

    n_steps: int
    first_kick: float
    n_trajectories: int
    n_single: int
    n_all: int
    table: np.ndarray
    lengths: np.ndarray
    acceptance: float


def _make_rule(shape: tuple[int, ...], sweep: FieldSweep, acceptance: float) -> _Rule:
    return _Rule(
        n_steps=sweep.trajectory.motion.n_steps,
        first_kick=sweep.trajectory.motion.first_kick,
        n_trajectories=sweep.n_trajectories,
        n_single=sweep.n_clusters if sweep.clusters == "wolff" else 0,
        n_all=1 if sweep.clusters == "swendsen-wang" else 0,
        table=neighbour_table(shape).astype(np.uint32),
        lengths=np.array(shape),
        acceptance=acceptance,
    )


@compiled_over_chains
def _run_chains(
    state: _State,
    couplings: FieldCouplings,
    rule: _Rule,
    box: Box,
    plan: Plan,
    records: _Records,
) -> None:
    for c in prange(state.x.shape[0]):
        of_chain = Coefficients(couplings.quadratic[c], couplings.quartic[c], couplings.hopping[c])
        own = _State(state.x[c], state.streams[c], state.step_size[c : c + 1])
        _run_chain(own, of_chain, rule, box, plan, _Records(records.series[c], records.x[c]))


@compiled
def _run_chain(
    state: _State,
    couplings: Coefficients,
    rule: _Rule,
    box: Box,
    plan: Plan,
    records: _Records,
) -> None:
    x, stream, step_size = state
    setting = (Motion(rule.n_steps, rule.first_kick), box)
    work = make_work_space(box, x.size)
    tuning = begin_tuning(step_size[0])
    accepted, flipped = 0.0, 0
    for n_done in range(1, plan.n_burn_in + plan.n_sweeps + 1):
        total = 0.0
        for _ in range(rule.n_trajectories):
            total += move(x, stream, couplings, step_size[0], setting, work).acceptance
        n_flipped = _flip_clusters(x, stream, couplings.t, rule)
        if n_done <= plan.n_burn_in:
            tuning = adapt(tuning, total / rule.n_trajectories - rule.acceptance)
            is_last = n_done == plan.n_burn_in
            step_size[0] = np.exp(tuning.log_average if is_last else tuning.log_step)
            continue
        accepted += total
        flipped += n_flipped
        record = record_index(plan, n_done)
        if record >= 0:
            sums = load_field(x, work, box)
            row = records.series[record]
            row[0], row[1], row[2], row[3] = sums.first, sums.square, sums.quartic, sums.bond
            row[4] = accepted / (rule.n_trajectories * plan.measure_every)
            row[5] = flipped / plan.measure_every
            accepted, flipped = 0.0, 0
            stored = stored_index(plan, record)
            if stored >= 0:
                records.x[stored] = x


@compiled
def _flip_clusters(x: np.ndarray, stream: np.ndarray, hopping: float, rule: _Rule) -> int:
    n_flipped = 0
    if rule.n_single > 0:
        queue = np.empty(x.size, np.uint32)
        state = first_lane(stream)
        for _ in range(rule.n_single):
            size, state = flip_cluster(x, 2.0 * hopping, rule.table, queue, state)
            n_flipped += size
        keep_first_lane(stream, state)
    for _ in range(rule.n_all):
        n_flipped += flip_half(x, 2.0 * hopping, stream, rule.table, rule.lengths)
    return n_flipped
