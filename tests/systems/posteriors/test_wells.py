import math

import pytest
import torch

from systems.posteriors import ManyWellBridge
from systems.toys import ManyWell

F64 = torch.float64


def test_at_one_it_is_the_many_well(generator):
    target = ManyWellBridge()
    x = 1.5 * torch.randn(10, 32, generator=generator, dtype=F64)
    first, second = x[:, ::2], x[:, 1::2]
    well = -0.5 * first - 6 * first**2 + first**4
    torch.testing.assert_close(target.energy(x, 1.0), (well + 0.5 * second**2).sum(1))
    assert target.log_evidence(1.0) == pytest.approx(164.69567531, abs=1e-8)
    assert target.log_evidence(1.0) == pytest.approx(ManyWell(32).log_partition(1.0), abs=1e-9)


def test_at_zero_it_is_the_reference(generator):
    target = ManyWellBridge(4)
    assert target.log_evidence(0.0) == 0.0
    # d log Z / d beta at 0 is the mean of log L over the reference.
    slope = (target.log_evidence(2e-7) - target.log_evidence(1e-7)) / 1e-7
    n = 100_000
    log_likelihood = target.log_likelihood(target.sample_exact(0.0, n, generator=generator))
    z = (log_likelihood.mean().item() - slope) / (log_likelihood.std().item() / math.sqrt(n))
    assert abs(z) < 4


@pytest.mark.parametrize("beta", [0.05, 0.5, 1.0, 1.5])
def test_the_evidence_is_that_of_a_sum_over_the_plane(beta):
    target, x = ManyWellBridge(2, width=1.5), torch.linspace(-14, 14, 1201, dtype=F64)
    energy = target.energy(torch.cartesian_prod(x, x), beta)
    expected = (-energy).logsumexp(0).item() + 2 * math.log(28 / 1200)
    assert target.log_evidence(beta) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize(("beta", "other"), [(0.1, 0.11), (0.5, 0.47), (0.5, 0.53), (1.0, 0.95)])
def test_exact_samples_energies_and_evidence_agree(beta, other, along_the_path, generator):
    along_the_path(ManyWellBridge(), beta, other, n=20_000, generator=generator)


def test_bad_arguments_are_named(generator):
    with pytest.raises(ValueError, match="^n_dims: expected a multiple of 2, got 5"):
        ManyWellBridge(5)
    with pytest.raises(ValueError, match="^width: expected a finite number above 0"):
        ManyWellBridge(2, width=-1.0)
    narrow = ManyWellBridge(2, width=0.5)
    for bad in (-0.1, 1.4, math.nan, math.inf):
        with pytest.raises(ValueError, match="^beta: expected a power of at least 0 with finite Z"):
            narrow.log_evidence(bad)
        with pytest.raises(ValueError, match="^beta: expected a power of at least 0 with finite Z"):
            narrow.sample_exact(bad, 3, generator=generator)
