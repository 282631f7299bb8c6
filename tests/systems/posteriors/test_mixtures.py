import math

import pytest
import torch

from systems.posteriors import FortyGaussians, MixtureBridge, SixGaussians
from systems.toys import GaussianMixture

F64 = torch.float64
FORTY, SIX = FortyGaussians(), SixGaussians()
MIXTURES = {"forty": FORTY, "six": SIX}


def test_the_forty_means_are_those_of_the_global_stream_of_seed_0():
    before = torch.random.get_rng_state()
    found = FortyGaussians().mixture.means
    assert torch.equal(torch.random.get_rng_state(), before)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        expected = (torch.rand((40, 2)) - 0.5) * 2 * 40
    assert torch.equal(found.float(), expected)
    assert torch.equal(found, expected.double())
    known = torch.tensor([[-0.2995, 21.4577], [-32.9218, -29.4376]], dtype=F64)
    torch.testing.assert_close(found[:2], known, rtol=0, atol=6e-5)


def test_the_density_of_the_forty_gaussians(generator):
    x = 30 * torch.randn(10, 2, generator=generator, dtype=F64)
    assert math.log1p(math.e) == pytest.approx(1.31326169, abs=5e-9)
    distance = (x[:, None] - FORTY.mixture.means).square().sum(2)
    variance = math.log1p(math.e) ** 2
    each = -0.5 * distance / variance - math.log(2 * math.pi * variance * 40)
    torch.testing.assert_close(FORTY.energy(x, 1.0), -each.logsumexp(1))


def test_the_six_gaussians_are_those_of_the_toys(generator):
    x = 4 * torch.randn(10, 2, generator=generator, dtype=F64)
    torch.testing.assert_close(SIX.energy(x, 1.0), GaussianMixture().potential(x))


SMALL = MixtureBridge(
    GaussianMixture([[-2.0, 0.0], [2.0, 1.0]], [[[0.5, 0.1], [0.1, 0.3]]] * 2), width=2.0
)


def test_both_ends_are_normalised_and_the_limits_are_smooth():
    for target in (FORTY, SIX, SMALL):
        assert target.log_evidence(0.0) == target.log_evidence(1.0) == 0.0
    for beta in (1e-4, 1 - 1e-4):
        assert -1e-3 < SMALL.log_evidence(beta) < -1e-6


@pytest.mark.parametrize("beta", [0.1, 0.6, 1.0])
def test_the_evidence_is_that_of_a_wider_sum(beta):
    x = torch.linspace(-30, 30, 1601, dtype=F64)
    energy = SMALL.energy(torch.cartesian_prod(x, x), beta)
    expected = (-energy).logsumexp(0).item() + 2 * math.log(60 / 1600)
    assert SMALL.log_evidence(beta) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("target", MIXTURES.values(), ids=MIXTURES)
@pytest.mark.parametrize(("beta", "other"), [(0.0, 0.02), (0.3, 0.25), (0.3, 0.35), (1.0, 0.9)])
def test_exact_samples_energies_and_evidence_agree(target, beta, other, along_the_path, generator):
    along_the_path(target, beta, other, n=10_000, generator=generator)


def test_exact_samples_visit_every_mode_equally(generator):
    n = 20_000
    x = FORTY.sample_exact(1.0, n, generator=generator)
    distance = torch.cdist(x, FORTY.mixture.means)
    # Modes overlap, so that a point belongs to each in proportion to its density there.
    share = (-0.5 * (distance / math.log1p(math.e)) ** 2).softmax(1)
    z = (share.mean(0) - 1 / 40) / (share.std(0) / math.sqrt(n))
    assert bool((z.abs() < 4.5).all())


def test_bad_arguments_are_named(generator):
    with pytest.raises(ValueError, match="^width: expected a finite number above 0"):
        FortyGaussians(width=0.0)
    for bad in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="^beta: expected a number between 0 and 1"):
            SIX.log_evidence(bad)
        with pytest.raises(ValueError, match="^beta: expected a number between 0 and 1"):
            SIX.sample_exact(bad, 3, generator=generator)
