import math

import numpy as np
import pytest
import torch
from scipy import stats

from systems.posteriors.line import LineDensity

NODES = np.linspace(-12, 14, 4001)
NORMAL = LineDensity(NODES, -0.5 * ((NODES - 1) / 1.2) ** 2 - 1000)


def test_integral_and_means_of_a_normal_density():
    expected = math.log(1.2 * math.sqrt(2 * math.pi)) - 1000
    assert NORMAL.log_integral == pytest.approx(expected, abs=1e-12)
    found = NORMAL.mean(np.stack([NODES, (NODES - 1) ** 2]))
    np.testing.assert_allclose(found, [1, 1.44], rtol=1e-12)


def test_samples_follow_the_distribution(generator):
    x = NORMAL.sample(20_000, generator=generator)
    assert x.dtype == torch.float64
    share = torch.special.ndtr((x - 1) / 1.2)
    counts = torch.histogram(share, 25, range=(0.0, 1.0))[0].numpy()
    assert stats.chisquare(counts).pvalue > 6e-5
