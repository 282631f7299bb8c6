"""Dual averaging reaches the wanted acceptance, group by group."""

import pytest
import torch

from boltzgen.kernels import HMC, MALA, DualAveraging, Langevin, ReplicaExchange, tune
from systems.toys import DoubleWell2D, HarmonicWell
from tests.boltzgen.kernels.exact import assert_stationary, started


def measured(kernel, state, c, generator, n=40):
    total = 0
    for _ in range(n):
        state, info = kernel.step(state, c, generator=generator)
        total = total + info.acceptance
    return total / n, state


@pytest.mark.parametrize("wanted", [0.5, 0.9])
@pytest.mark.parametrize(
    "make",
    [
        lambda t: MALA(t, step_size=5.0),
        lambda t: HMC(t, step_size=0.001, n_leapfrog=5),
        lambda t: Langevin(t, step_size=3.0, friction=1.0, metropolis=True),
    ],
)
def test_wanted_acceptance_is_reached(make, wanted, generator):
    target = HarmonicWell(n_dims=6)
    x, c = started(target, [1.0], generator, n=200)
    kernel = make(target)
    averaging = DualAveraging(wanted)
    state = kernel.init(x, c)
    state = tune(kernel, state, c, n_steps=300, generator=generator, averaging=averaging)
    assert len(state.step_size.unique()) == 1
    acceptance, _ = measured(kernel, state, c, generator)
    assert abs(acceptance.mean() - wanted) < 0.05


def test_groups_have_steps_of_their_own_and_sampling_afterwards_is_exact(generator):
    """The step of a harmonic well grows as the square root of T."""
    target = DoubleWell2D()
    temperatures = [0.25, 4.0]
    x, c = started(target, temperatures, generator)
    kernel = HMC(target, step_size=0.1, n_leapfrog=4)
    groups = (c[:, 0] > 1).long()
    averaging = DualAveraging(0.8, groups=groups)
    state = kernel.init(x, c)
    state = tune(kernel, state, c, n_steps=150, generator=generator, averaging=averaging)
    cold, hot = (state.step_size[groups == k].unique() for k in range(2))
    assert len(cold) == len(hot) == 1
    assert hot > 1.3 * cold
    state = kernel.init(x, c)._replace(step_size=state.step_size)
    acceptance, state = measured(kernel, state, c, generator, n=10)
    for k in range(2):
        assert abs(acceptance[groups == k].mean() - 0.8) < 0.05
    assert_stationary(target, state.x, c, generator)


def test_bad_arguments(generator):
    target = DoubleWell2D()
    x, c = started(target, [1.0], generator, n=8)
    kernel = MALA(target, step_size=0.1)
    state = kernel.init(x, c)
    for bad in (0.0, 1.0):
        with pytest.raises(ValueError, match="acceptance: expected a number between 0 and 1"):
            DualAveraging(bad)
    with pytest.raises(ValueError, match="n_steps"):
        tune(kernel, state, c, n_steps=0, generator=generator)
    free = Langevin(target, step_size=0.1, friction=1.0)
    with pytest.raises(ValueError, match="Metropolis test, got Langevin"):
        tune(free, free.init(x, c), c, n_steps=1, generator=generator)
    exchange = ReplicaExchange(target, kernel, n_rungs=2)
    with pytest.raises(
        ValueError, match="got ReplicaExchange; of a replica exchange, tune the inner"
    ):
        tune(exchange, exchange.init(x, c), c, n_steps=1, generator=generator)
    with pytest.raises(ValueError, match="at least one chain"):
        tune(kernel, kernel.init(x[:0], c[:0]), c[:0], n_steps=1, generator=generator)
    averaging = DualAveraging(groups=torch.zeros(3, dtype=torch.long))
    with pytest.raises(ValueError, match=r"groups: expected shape \(8,\), got \(3,\)"):
        tune(kernel, state, c, n_steps=1, generator=generator, averaging=averaging)
