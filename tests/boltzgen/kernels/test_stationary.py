"""Each kernel keeps exact targets stationary, and its book-keeping is right."""

import pytest
import torch

from boltzgen.errors import NonFiniteError
from boltzgen.flows import ScaledBase
from boltzgen.kernels import HMC, MALA, FlowProposal, FourierScale, Info, Langevin, ReplicaExchange
from systems.toys import DoubleWell2D, HarmonicWell
from tests.boltzgen.kernels.exact import DOUBLE, assert_stationary, started
from tests.contracts.discovery import concrete_classes

LADDER = [0.5, 0.8, 1.3, 2.0]
SCALE = torch.tensor([0.7, 1.4], dtype=DOUBLE)


def mala(target):
    return MALA(target, step_size=0.7, scale=SCALE)


def hmc(target):
    return HMC(target, step_size=0.5, n_leapfrog=3, scale=SCALE)


def hmc_in_fourier_space(target):
    return HMC(target, step_size=0.5, n_leapfrog=3, scale=FourierScale(SCALE))


def langevin(target):
    return Langevin(target, step_size=0.7, friction=0.7, scale=SCALE, metropolis=True)


def exchange(target):
    return ReplicaExchange(target, hmc(target), n_rungs=len(LADDER), n_inner=2)


def proposals(target):
    normal = ScaledBase(torch.zeros(2, dtype=torch.bool), torch.tensor([0.4], dtype=torch.float64))
    return FlowProposal(target, normal)


MAKERS = (mala, hmc, hmc_in_fourier_space, langevin, exchange, proposals)


def test_every_kernel_is_tested_here():
    found = concrete_classes("boltzgen.kernels", ("step",), ("state", "c", "generator"))
    assert found == {type(make(DoubleWell2D())) for make in MAKERS}


def begin(kernel, x, c, generator):
    state = kernel.init(x, c)
    if isinstance(kernel, Langevin):
        state = kernel.draw_velocities(state, generator=generator)
    return state


TARGETS = (HarmonicWell(n_dims=2, stiffness=3.0), DoubleWell2D())


def advanced(kernel, x, c, generator, n_steps=8):
    state = begin(kernel, x, c, generator)
    for _ in range(n_steps):
        state, _ = kernel.step(state, c, generator=generator)
    return state


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("make", MAKERS)
def test_exact_samples_stay_exact(make, target, generator):
    x, c = started(target, LADDER, generator)
    state = advanced(make(target), x, c, generator)
    assert not torch.equal(state.x, x)
    assert_stationary(target, state.x, c, generator)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("make", "module"), [(mala, "mala"), (hmc, "hmc"), (langevin, "langevin")])
def test_without_rejections_they_would_not(make, module, target, generator, monkeypatch):
    """The step sizes here are long enough for the test above to see what Metropolis does."""
    x, c = started(target, LADDER, generator)

    def everything(log_ratio, *, generator):
        del generator
        return Info(torch.ones_like(log_ratio, dtype=torch.bool), torch.ones_like(log_ratio))

    monkeypatch.setattr(f"boltzgen.kernels.{module}.accept", everything)
    state = advanced(make(target), x, c, generator)
    with pytest.raises(AssertionError):
        assert_stationary(target, state.x, c, generator)


def test_a_rejected_velocity_has_to_turn_back(generator):
    """Undoing the turn breaks stationarity, if only by little."""
    target = DoubleWell2D()
    x, c = started(target, [1.0], generator, n=40_000)
    kernel = langevin(target)
    state = begin(kernel, x, c, generator)
    for _ in range(12):
        state, info = kernel.step(state, c, generator=generator)
        sign = torch.where(info.accepted, 1.0, -1.0)[:, None]
        state = state._replace(velocity=sign * state.velocity)
    with pytest.raises(AssertionError):
        assert_stationary(target, state.x, c, generator)


@pytest.mark.parametrize("make", [mala, hmc, langevin])
def test_rejections_happen_as_often_as_announced(make, generator):
    target = DoubleWell2D()
    x, c = started(target, [1.0], generator)
    kernel = make(target)
    state = begin(kernel, x, c, generator)
    new, info = kernel.step(state, c, generator=generator)
    expected = info.acceptance.mean()
    assert 0.5 < expected < 0.9
    error = (info.acceptance * (1 - info.acceptance)).sum().sqrt() / len(x)
    assert abs(info.accepted.double().mean() - expected) < 4 * error
    stayed = ~info.accepted
    assert torch.equal(new.x[stayed], x[stayed])
    assert bool((new.x[info.accepted] != x[info.accepted]).any(1).all())
    torch.testing.assert_close(new.energy, target.energy(new.x, c))
    assert torch.equal(new.step_size, state.step_size)


@pytest.mark.parametrize("make", [mala, hmc, langevin])
def test_arguments_are_not_changed_and_streams_repeat(make, generator):
    target = DoubleWell2D()
    x, c = started(target, [1.0], generator, n=50)
    kernel = make(target)
    state = begin(kernel, x, c, generator)
    before = [field.clone() for field in state]
    runs = []
    for _ in range(2):
        stream = torch.Generator().manual_seed(4)
        new, _ = kernel.step(state, c, generator=stream)
        runs.append(new)
    for old, field, first, second in zip(before, state, *runs, strict=True):
        assert torch.equal(old, field)
        assert torch.equal(first, second)


def test_baoab_is_exact_in_position_for_a_harmonic_well(generator):
    """For any step below the stability limit; other splittings are off by (h omega)^2 / 4."""
    target = HarmonicWell(n_dims=2, stiffness=1.0)
    x, c = started(target, [1.0], generator, n=20_000)
    kernel = Langevin(target, step_size=1.2, friction=1.0)
    state = kernel.draw_velocities(kernel.init(x, c), generator=generator)
    for _ in range(30):
        state, info = kernel.step(state, c, generator=generator)
    assert bool(info.accepted.all())
    assert_stationary(target, state.x, c, generator)


def test_uncorrected_langevin_has_an_error_that_the_correction_removes(generator):
    """The test of stationarity can fail: a double well with a long step."""
    target = DoubleWell2D()
    x, c = started(target, [1.0], generator, n=20_000)
    kernel = Langevin(target, step_size=0.5, friction=1.0)
    state = kernel.draw_velocities(kernel.init(x, c), generator=generator)
    for _ in range(20):
        state, _ = kernel.step(state, c, generator=generator)
    with pytest.raises(AssertionError):
        assert_stationary(target, state.x, c, generator)


def test_chains_at_rest_warm_up(generator):
    target = HarmonicWell(n_dims=2)
    x, c = started(target, [1.0], generator)
    kernel = Langevin(target, step_size=0.2, friction=1.0)
    state = kernel.init(x, c)
    assert bool((state.velocity == 0).all())
    for _ in range(60):
        state, _ = kernel.step(state, c, generator=generator)
    variance = state.velocity.square().mean()
    assert abs(variance - 1) < 0.02 + 4 * (2 / state.velocity.numel()) ** 0.5


class Walled(HarmonicWell):
    """Forbidden where the first coordinate is above 0.5; NaN above 30."""

    def potential(self, x):
        energy = super().potential(x)
        energy = torch.where(x[:, 0] > 0.5, torch.inf, energy)
        return torch.where(x[:, 0] > 30, torch.nan, energy)


@pytest.mark.parametrize("make", [mala, hmc, langevin])
def test_forbidden_places_are_never_entered(make, generator):
    target = Walled(n_dims=2)
    x = torch.randn(2000, 2, generator=generator, dtype=DOUBLE)
    x = torch.where(x > 0.5, -x.abs(), x)
    c = torch.ones(2000, 1, dtype=DOUBLE)
    kernel = make(target)
    state = begin(kernel, x, c, generator)
    for _ in range(5):
        state, _ = kernel.step(state, c, generator=generator)
        assert state.energy.isfinite().all()
        assert state.x[:, 0].max() <= 0.5
    with pytest.raises(ValueError, match="x: expected allowed configurations, got 1"):
        kernel.init(torch.tensor([[1.0, 0.0], [0.0, 0.0]], dtype=DOUBLE), c[:2])
    with pytest.raises(NonFiniteError, match="NaN in 1 of 2"):
        kernel.init(torch.tensor([[40.0, 0.0], [0.0, 0.0]], dtype=DOUBLE), c[:2])


def test_uncorrected_langevin_turns_back_at_walls(generator):
    target = Walled(n_dims=2)
    x = -torch.rand(500, 2, generator=generator, dtype=DOUBLE)
    c = torch.ones(500, 1, dtype=DOUBLE)
    kernel = Langevin(target, step_size=0.3, friction=1.0)
    state = begin(kernel, x, c, generator)
    turned = 0
    for _ in range(100):
        state, info = kernel.step(state, c, generator=generator)
        turned += int((~info.accepted).sum())
    assert turned > 100
    assert state.x[:, 0].max() <= 0.5


@pytest.mark.parametrize("make", [mala, hmc, langevin])
def test_precision_is_that_of_the_configurations(make, generator):
    """The scale is float64, the chains float32."""
    target = DoubleWell2D()
    x, c = started(target, [1.0], generator, n=8)
    kernel = make(target)
    state = begin(kernel, x.float(), c.float(), generator)
    state, _ = kernel.step(state, c.float(), generator=generator)
    assert {field.dtype for field in state} == {torch.float32}


def test_bad_arguments(generator):
    target = DoubleWell2D()
    x, c = started(target, [1.0], generator, n=8)
    with pytest.raises(ValueError, match=r"c: expected shape \(8, 1\)"):
        MALA(target, step_size=0.1).init(x, c[:, 0])
    with pytest.raises(ValueError, match="x: expected shape"):
        MALA(target, step_size=0.1).init(x[:, :1], c)
    for bad in (0.0, -1.0, torch.nan):
        with pytest.raises(ValueError, match="step_size: expected finite numbers above 0"):
            HMC(target, step_size=bad, n_leapfrog=3).init(x, c)
    with pytest.raises(ValueError, match=r"step_size: expected a number or shape \(8,\)"):
        HMC(target, step_size=torch.ones(3), n_leapfrog=3).init(x, c)
    for bad in (torch.ones(8, 1), torch.ones(3), torch.ones(1, 8, 2)):
        with pytest.raises(
            ValueError, match=r"scale: expected a number or a shape that broadcasts"
        ):
            MALA(target, step_size=0.1, scale=bad).init(x, c)
    for bad in (0.0, torch.tensor([1.0, torch.inf])):
        with pytest.raises(ValueError, match="scale: expected finite numbers above 0"):
            MALA(target, step_size=0.1, scale=bad).init(x, c)
    with pytest.raises(ValueError, match="n_leapfrog: expected an integer of at least 1"):
        HMC(target, step_size=0.1, n_leapfrog=0)
    with pytest.raises(ValueError, match="friction"):
        Langevin(target, step_size=0.1, friction=0.0)
