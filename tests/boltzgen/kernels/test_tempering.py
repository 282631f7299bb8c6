"""Swaps, their statistics, and ladders of equal acceptance."""

import pytest
import torch

from boltzgen.kernels import (
    HMC,
    ExchangeInfo,
    ExchangeRecord,
    ReplicaExchange,
    balanced_ladder,
    communication_barrier,
)
from systems.toys import DoubleWell2D, HarmonicWell
from tests.boltzgen.kernels.exact import DOUBLE, started


def still(target, n_rungs):
    """An exchange whose inner kernel hardly moves, so that only swaps do."""
    kernel = HMC(target, step_size=1e-9, n_leapfrog=1)
    return ReplicaExchange(target, kernel, n_rungs=n_rungs)


def test_swaps_are_permutations_of_neighbours(generator):
    target = DoubleWell2D()
    x, c = started(target, [0.5, 0.7, 1.0, 1.4, 2.0], generator, n=500)
    exchange = still(target, 5)
    state = exchange.init(x, c)
    for step in range(4):
        before, (state, info) = state, exchange.step(state, c, generator=generator)
        parity = step % 2
        assert info.swap_acceptance[parity::2].isfinite().all()
        assert info.swap_acceptance[1 - parity :: 2].isnan().all()
        moved = info.replica - before.replica.reshape(-1, 5)
        assert bool((info.replica.sort(1).values == torch.arange(5)).all())
        alone = 4 if parity == 0 else 0
        assert bool((moved[:, alone] == 0).all())
        swapped = (moved != 0).sum()
        assert 0 < swapped < moved.numel()
    origin = torch.arange(100)[:, None] * 5 + state.replica.reshape(-1, 5)
    torch.testing.assert_close(state.x, x[origin.flatten()], atol=1e-6, rtol=0)
    torch.testing.assert_close(state.inner.energy, target.energy(state.x, c))


def test_swap_acceptance_of_harmonic_wells(generator):
    """In two dimensions u is exponential with mean T; the mean of min(1, exp((b1 - b2)(u1 - u2)))
    with b = 1 / T over two such u is 2 T1 / (T1 + T2)."""
    target = HarmonicWell(n_dims=2)
    cold, hot = 0.5, 1.5
    x, c = started(target, [cold, hot], generator, n=40_000)
    exchange = still(target, 2)
    state, info = exchange.step(exchange.init(x, c), c, generator=generator)
    expected = 2 * cold / (cold + hot)
    assert abs(info.swap_acceptance.item() - expected) < 4 * 0.5 / 20_000**0.5
    _, nothing = exchange.step(state, c, generator=generator)
    assert nothing.swap_acceptance.isnan().all()


def info_of(replica, acceptance):
    empty = torch.empty(0)
    return ExchangeInfo(empty, torch.tensor(acceptance), torch.tensor(replica))


def test_record_counts_round_trips_and_means():
    record = ExchangeRecord(3)
    nan = torch.nan
    path = [[0, 1, 2], [1, 0, 2], [1, 2, 0], [2, 1, 0], [2, 0, 1], [0, 2, 1], [0, 1, 2]]
    for k, order in enumerate(path):
        record.add(info_of([order], [0.5, nan] if k % 2 == 0 else [nan, 0.2 + 0.1 * k]))
    # Replica 0 goes up and down, 2 down and up, and 1 down and up to the top: 5 half trips.
    assert record.n_round_trips == 2.5
    torch.testing.assert_close(record.acceptance, torch.tensor([0.5, 0.5], dtype=DOUBLE))
    assert communication_barrier(record.acceptance) == pytest.approx(1.0)


def test_a_balanced_ladder_has_equal_acceptance(generator):
    """From a bad pilot to within 0.05 of the wanted acceptance at every pair."""
    target = HarmonicWell(n_dims=10)
    pilot = torch.tensor([0.3, 0.35, 0.5, 0.9, 1.2, 1.25, 3.0], dtype=DOUBLE)

    def acceptances(values):
        x, c = started(target, values.tolist(), generator, n=3000 * len(values))
        exchange, record = still(target, len(values)), ExchangeRecord(len(values))
        state = exchange.init(x, c)
        for _ in range(2):
            state, info = exchange.step(state, c, generator=generator)
            record.add(info)
        return record.acceptance

    ladder = pilot
    for _ in range(3):
        ladder = balanced_ladder(ladder, acceptances(ladder), wanted=0.6)
    found = acceptances(ladder)
    assert ladder[0] == 0.3
    assert ladder[-1] == 3.0
    assert found.max() - found.min() < 0.08
    assert 0.55 < found.mean() < 0.7


def test_bad_arguments(generator):
    target = DoubleWell2D()
    x, c = started(target, [0.5, 1.0], generator, n=8)
    kernel = HMC(target, step_size=0.1, n_leapfrog=2)
    for name, options in {
        "n_rungs": {"n_rungs": 1},
        "n_inner": {"n_rungs": 2, "n_inner": 0},
    }.items():
        with pytest.raises(ValueError, match=name):
            ReplicaExchange(target, kernel, **options)
    with pytest.raises(ValueError, match="x: expected a multiple of 3 rows, got 8"):
        ReplicaExchange(target, kernel, n_rungs=3).init(x, c)
    with pytest.raises(ValueError, match="c: expected the same rungs in each ladder"):
        ReplicaExchange(target, kernel, n_rungs=2).init(x, torch.rand(8, 1, dtype=DOUBLE) + 1)
    with pytest.raises(ValueError, match=r"c: expected shape \(8, 1\)"):
        ReplicaExchange(target, kernel, n_rungs=2).init(x, c[:6])
    values = torch.tensor([1.0, 2.0, 3.0])
    good = torch.tensor([0.5, 0.5])
    for name, arguments in {
        "values: expected two": (values.flip(0), good, 0.5),
        "values: expected two or more": (values - 1, good, 0.5),
        "values: expected two or more increasing": (values.long(), good, 0.5),
        "acceptance: expected 2 numbers above 0": (values, torch.tensor([0.5, 0.0]), 0.5),
        "wanted": (values, good, 1.0),
    }.items():
        with pytest.raises(ValueError, match=name):
            balanced_ladder(arguments[0], arguments[1], wanted=arguments[2])
