"""Normal numbers: the layers, the distribution, the stream."""

import math

import numpy as np
import torch
from scipy.stats import chisquare, norm

from systems.lattices.monte_carlo.normals import EDGES, fill_normals
from systems.lattices.monte_carlo.streams import bytes_block, make_streams


def draw(n, *, seed=0):
    stream = make_streams(1, generator=torch.Generator().manual_seed(seed))[0]
    x = np.empty(n)
    fill_normals(stream, bytes_block(8 * n), x)
    return x, stream


def test_layers_have_equal_areas_and_end_at_the_top():
    heights = np.exp(-0.5 * EDGES**2)
    areas = EDGES[1:-1] * np.diff(heights[1:])
    base = EDGES[1] * heights[1] + math.sqrt(2 * math.pi) * norm.sf(EDGES[1])
    assert len(EDGES) == 257
    np.testing.assert_allclose(areas, base, rtol=1e-9)
    np.testing.assert_allclose(EDGES[0] * heights[1], base, rtol=1e-12)


def test_the_distribution_with_its_tails():
    x, _ = draw(2_000_000)
    n_bins = 400
    counts = np.bincount((n_bins * norm.cdf(x)).astype(int), minlength=n_bins)
    assert chisquare(counts).pvalue > 1e-4
    for bound in (2.0, 3.0, EDGES[1], 4.2):  # the last two lie at and beyond the start of the tail
        for found in ((x > bound).sum(), (x < -bound).sum()):
            expected = x.size * norm.sf(bound)
            assert abs(found - expected) < 4 * math.sqrt(expected)
    for power, exact, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((x**power).mean() - exact) < 4 * math.sqrt(variance / x.size)


def test_neighbouring_numbers_are_independent():
    x, _ = draw(1_000_000, seed=1)
    for lag in (1, 2, 15, 16, 17):
        for transform in (np.abs, np.asarray):
            y = transform(x)
            assert abs(np.corrcoef(y[:-lag], y[lag:])[0, 1]) < 4 / math.sqrt(x.size)


def test_a_stream_repeats_and_moves_on():
    x, stream = draw(100)
    np.testing.assert_array_equal(x, draw(100)[0])
    more = np.empty(100)
    fill_normals(stream, bytes_block(800), more)
    assert not np.isin(more, x).any()
