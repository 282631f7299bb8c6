import numpy as np
import pytest
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from systems.lattices.geometry import neighbour_table
from systems.lattices.monte_carlo.labelling import (
    label_clusters,
    point_to_roots,
    spread_from_roots,
)

SHAPES = [(2,), (3,), (50,), (2, 2), (3, 3), (2, 5), (5, 2), (16, 16), (13, 30)]
SHAPES += [(2, 2, 2), (3, 2, 4), (4, 3, 2), (6, 7, 8)]


def roots_by_graph(bonds, shape):
    """Smallest site of each site's component."""
    n = bonds.shape[1]
    forward = neighbour_table(shape)[:, : len(shape)].T
    axis, site = np.nonzero(bonds)
    graph = coo_matrix((np.ones(site.size), (site, forward[axis, site])), shape=(n, n))
    labels = connected_components(graph, directed=False)[1]
    smallest = np.full(labels.max() + 1, n)
    np.minimum.at(smallest, labels, np.arange(n))
    return smallest[labels]


@pytest.mark.parametrize("shape", SHAPES)
def test_clusters_are_the_components_of_the_graph(shape):
    rng = np.random.default_rng(1)
    n = int(np.prod(shape))
    for density in (0.0, 0.2, 0.4, 0.5, 0.6, 0.9, 1.0):
        for _ in range(20):
            bonds = (rng.random((len(shape), n)) < density).astype(np.uint8)
            parents = np.zeros(n, dtype=np.int32)
            label_clusters(bonds, np.array(shape), parents)
            assert (parents <= np.arange(n)).all()
            values = rng.integers(0, 256, n).astype(np.uint8)
            expected = roots_by_graph(bonds, shape)
            spread = values.copy()
            spread_from_roots(parents, spread)
            np.testing.assert_array_equal(spread, values[expected])
            point_to_roots(parents)
            np.testing.assert_array_equal(parents, expected)
