"""Independence Metropolis-Hastings: stationarity for any proposal, and its exact acceptance."""

import math

import pytest
import torch

from boltzgen.base import Density
from boltzgen.errors import NonFiniteError
from boltzgen.kernels import FlowProposal, Info, run_chain
from boltzgen.random import draw_normal
from systems.toys import DoubleWell2D, HarmonicWell
from tests.boltzgen.kernels.exact import DOUBLE, assert_stationary, started

LADDER = [0.5, 0.8, 1.3, 2.0]


class Normal(Density):
    """Independent normal components of variance (width)^2 c, displaced by `shift`."""

    def __init__(self, shift, width):
        super().__init__((len(width),), 1)
        self.shift, self.width = torch.tensor(shift, dtype=DOUBLE), torch.tensor(width).double()

    def _log_prob(self, x, c):
        scale = self.width * c.sqrt()
        z = (x - self.shift.to(x.dtype)) / scale
        return -0.5 * (z.square() + 2 * scale.log() + math.log(2 * math.pi)).sum(1).to(x.dtype)

    def _sample_and_log_prob(self, c, generator):
        z = draw_normal((len(c), *self.event_shape), like=c, generator=generator)
        x = (self.shift + self.width * c.sqrt() * z).to(c.dtype)
        return x, self._log_prob(x, c)


def good():
    return Normal([0.0, 0.0], [1.6, 1.0])


def off():
    """Beside the wells, too wide in one coordinate and too narrow in the other."""
    return Normal([0.9, -0.4], [2.5, 0.8])


TARGETS = (HarmonicWell(n_dims=2, stiffness=3.0), DoubleWell2D())


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("make", [good, off])
def test_exact_samples_stay_exact(make, target, generator):
    x, c = started(target, LADDER, generator)
    kernel = FlowProposal(target, make())
    state = kernel.init(x, c)
    for _ in range(8):
        state, _ = kernel.step(state, c, generator=generator)
    assert 0.3 < (state.x != x).any(1).double().mean()
    assert_stationary(target, state.x, c, generator)
    torch.testing.assert_close(state.energy, target.energy(state.x, c))
    torch.testing.assert_close(state.log_q, kernel.density.log_prob(state.x, c))


@pytest.mark.parametrize("target", TARGETS)
def test_without_rejections_they_would_not(target, generator, monkeypatch):
    def everything(log_ratio, *, generator):
        del generator
        return Info(torch.ones_like(log_ratio, dtype=torch.bool), torch.ones_like(log_ratio))

    monkeypatch.setattr("boltzgen.kernels.independence.accept", everything)
    x, c = started(target, LADDER, generator)
    kernel = FlowProposal(target, off())
    state, _ = kernel.step(kernel.init(x, c), c, generator=generator)
    with pytest.raises(AssertionError):
        assert_stationary(target, state.x, c, generator)


@pytest.mark.parametrize("width", [1.2, 2.0, 5.0])
def test_acceptance_of_two_gaussians(width, generator):
    """w falls with |x|, so the mean of min(1, w(y) / w(x)) is 2 P(|y| < |x|), that is
    (4 / pi) atan(1 / width), at every temperature: all lengths grow alike."""
    target = HarmonicWell(n_dims=1)
    x, c = started(target, [0.4, 3.0], generator, n=40_000)
    kernel = FlowProposal(target, Normal([0.0], [width]))
    _, info = kernel.step(kernel.init(x, c), c, generator=generator)
    expected = 4 / math.pi * math.atan(1 / width)
    for t in (0.4, 3.0):
        found = info.acceptance[c[:, 0] == t]
        assert abs(found.mean() - expected) < 4 * found.std() / len(found) ** 0.5
    error = (info.acceptance * (1 - info.acceptance)).sum().sqrt() / len(x)
    assert abs(info.accepted.double().mean() - info.acceptance.mean()) < 4 * error


def test_the_exact_density_is_always_accepted(generator):
    target = HarmonicWell(n_dims=2)
    x, c = started(target, LADDER, generator, n=40)
    kernel = FlowProposal(target, Normal([0.0, 0.0], [1.0, 1.0]))
    state, info = kernel.step(kernel.init(x, c), c, generator=generator)
    torch.testing.assert_close(info.acceptance, torch.ones(40, dtype=DOUBLE))
    assert not torch.equal(state.x, x)


def test_chains_relax_from_one_well(generator):
    """All start in the left well; the density proposes both, so both are occupied at the end."""
    target = DoubleWell2D()
    c = torch.tensor(LADDER, dtype=DOUBLE).repeat(1000)[:, None]
    x = torch.tensor([-1.4, 0.0], dtype=DOUBLE).expand(4000, 2)
    kernel = FlowProposal(target, good())
    run = run_chain(kernel, kernel.init(x, c), c, 60, generator=generator)
    assert_stationary(target, run.xs[-1], c, generator)
    assert run.xs.shape == (60, 4000, 2)
    assert run.acceptance.shape == (4000,)


def test_arguments_are_not_changed_and_streams_repeat(generator):
    target = DoubleWell2D()
    x, c = started(target, [1.0], generator, n=50)
    kernel = FlowProposal(target, off())
    state = kernel.init(x, c)
    before = [field.clone() for field in state]
    runs = []
    for _ in range(2):
        new, info = kernel.step(state, c, generator=torch.Generator().manual_seed(4))
        runs.append(new)
    assert torch.equal(new.x[~info.accepted], x[~info.accepted])
    assert bool((new.x[info.accepted] != x[info.accepted]).any(1).all())
    for old, field, first, second in zip(before, state, *runs, strict=True):
        assert torch.equal(old, field)
        assert torch.equal(first, second)


class Walled(HarmonicWell):
    """Forbidden where the first coordinate is above 0.5; NaN above 30."""

    def potential(self, x):
        energy = super().potential(x)
        energy = torch.where(x[:, 0] > 0.5, torch.inf, energy)
        return torch.where(x[:, 0] > 30, torch.nan, energy)


def test_forbidden_places_are_never_entered(generator):
    x = -torch.rand(2000, 2, generator=generator, dtype=DOUBLE)
    c = torch.ones(2000, 1, dtype=DOUBLE)
    kernel = FlowProposal(Walled(n_dims=2), good())
    state = kernel.init(x, c)
    for _ in range(5):
        state, info = kernel.step(state, c, generator=generator)
        assert state.energy.isfinite().all()
        assert state.x[:, 0].max() <= 0.5
    assert 0 < (info.acceptance == 0).double().mean() < 0.6
    with pytest.raises(ValueError, match="x: expected allowed configurations, got 1"):
        kernel.init(torch.tensor([[1.0, 0.0], [0.0, 0.0]], dtype=DOUBLE), c[:2])
    with pytest.raises(NonFiniteError, match="energy: NaN in 1 of 2"):
        kernel.init(torch.tensor([[40.0, 0.0], [0.0, 0.0]], dtype=DOUBLE), c[:2])
    far = FlowProposal(Walled(n_dims=2), Normal([60.0, 0.0], [1.0, 1.0]))
    with pytest.raises(NonFiniteError, match="energy: NaN in 2000 of 2000"):
        far.step(far.init(x, c), c, generator=generator)


class Broken(Normal):
    """Its log-density is what it is told."""

    def __init__(self, value):
        super().__init__([0.0, 0.0], [1.0, 1.0])
        self.value = value

    def _log_prob(self, x, c):
        return torch.full_like(x[:, 0], self.value)


def test_densities_that_are_not_finite(generator):
    target = HarmonicWell(n_dims=2)
    x, c = started(target, [1.0], generator, n=4)
    healthy = FlowProposal(target, good()).init(x, c)
    for value in (math.nan, math.inf):
        kernel = FlowProposal(target, Broken(value))
        with pytest.raises(NonFiniteError, match=r"log_q: NaN or \+inf in 4 of 4 rows"):
            kernel.init(x, c)
        with pytest.raises(NonFiniteError, match=r"log_q: NaN or \+inf in 4 of 4 rows"):
            kernel.step(healthy, c, generator=generator)
    kernel = FlowProposal(target, Broken(-math.inf))
    with pytest.raises(ValueError, match="x: expected what the density can propose, got 4"):
        kernel.init(x, c)
    with pytest.raises(NonFiniteError, match="log_q: -inf in 4 of 4 proposals"):
        kernel.step(healthy, c, generator=generator)


def test_precision_is_that_of_the_configurations(generator):
    target = DoubleWell2D()
    x, c = started(target, [1.0], generator, n=8)
    kernel = FlowProposal(target, good())
    state = kernel.init(x.float(), c.float())
    state, _ = kernel.step(state, c.float(), generator=generator)
    assert {field.dtype for field in state} == {torch.float32}


def test_bad_arguments(generator):
    target = DoubleWell2D()
    x, c = started(target, [1.0], generator, n=8)
    with pytest.raises(ValueError, match=r"density: expected event shape and C \(\(2,\), 1\)"):
        FlowProposal(target, Normal([0.0], [1.0]))
    kernel = FlowProposal(target, good())
    with pytest.raises(ValueError, match=r"c: expected shape \(8, 1\)"):
        kernel.init(x, c[:, 0])
    with pytest.raises(ValueError, match="x: expected shape"):
        kernel.init(x[:, :1], c)
