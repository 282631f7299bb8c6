import pytest
import torch

from systems.lattices import observables
from systems.lattices.exact import FreeField, ScalarAction
from systems.lattices.geometry import (
    bond_cosines,
    check_lattice,
    forward_sum,
    n_sites,
    neighbour_sum,
    neighbour_table,
    parity,
)

DOUBLE = torch.float64
SHAPES = [(6,), (4, 3), (2, 4), (2, 3, 4)]


def draw(shape, n=5):
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(0), dtype=DOUBLE)


@pytest.mark.parametrize("shape", SHAPES)
def test_sums_over_neighbours_agree_with_the_table(shape):
    x, d = draw(shape), len(shape)
    table = torch.from_numpy(neighbour_table(shape))
    flat = x.flatten(1)
    torch.testing.assert_close(neighbour_sum(x, d).flatten(1), flat[:, table].sum(2))
    torch.testing.assert_close(forward_sum(x, d).flatten(1), flat[:, table[:, :d]].sum(2))
    found = observables.bond_sum(x)
    torch.testing.assert_close(found, (flat * flat[:, table[:, :d]].sum(2)).sum(1))
    torch.testing.assert_close(found, (flat * flat[:, table].sum(2)).sum(1) / 2)


@pytest.mark.parametrize("shape", SHAPES)
def test_waves_are_eigenvectors_of_hopping(shape):
    cosines = torch.from_numpy(bond_cosines(shape)).flatten()
    size = n_sites(shape)
    axes = tuple(range(1, 1 + len(shape)))
    waves = torch.fft.ifftn(torch.eye(size, dtype=DOUBLE).reshape(size, *shape), dim=axes)
    hopped = neighbour_sum(waves.real, len(shape)) + 1j * neighbour_sum(waves.imag, len(shape))
    torch.testing.assert_close(hopped, 2 * cosines.reshape(-1, *[1] * len(shape)) * waves)


def test_sublattices_alternate():
    found = parity((4, 4))
    assert found.sum() == 8
    assert (abs(found - found[:, [1, 2, 3, 0]]) == 1).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_moments_and_sums(shape):
    x = draw(shape)
    m = x.flatten(1).mean(1)
    torch.testing.assert_close(observables.magnetisation(x), m)
    torch.testing.assert_close(observables.moments(x), torch.stack([m.abs(), m**2, m**4], 1))
    torch.testing.assert_close(observables.square_sum(x), (x**2).flatten(1).sum(1))
    torch.testing.assert_close(observables.quartic_sum(x), (x**4).flatten(1).sum(1))
    structure = observables.structure_factor(x).flatten(1)
    torch.testing.assert_close(structure[:, 0], m**2 * m.new_tensor(n_sites(shape)))
    torch.testing.assert_close(structure.sum(1), (x**2).flatten(1).sum(1))


def test_correlators_by_hand():
    x = draw((4, 3))
    found = observables.correlator(x)
    torch.testing.assert_close(found[:, 1, 2], (x * x.roll((-1, -2), (1, 2))).mean((1, 2)))
    slices = x.mean(2)
    expected = torch.stack([(slices * slices.roll(-t, 1)).mean(1) for t in range(4)], 1)
    torch.testing.assert_close(observables.time_slice_correlator(x), expected)
    torch.testing.assert_close(
        observables.time_slice_correlator(x[:, :, 0]), observables.correlator(x[:, :, 0])
    )


def test_free_field_samples_have_the_exact_means():
    exact = FreeField(ScalarAction(1.0, 0.0, 0.44), (8, 8))
    x = exact.sample(20_000, generator=torch.Generator().manual_seed(4))
    for values, mean in (
        (observables.bond_sum(x), exact.bond_sum()),
        (observables.square_sum(x) / 64, exact.mean_square()),
        (observables.quartic_sum(x) / 64, exact.mean_fourth()),
        (observables.magnetisation(x) ** 2 * 64**2, exact.magnetisation_square()),
        (observables.correlator(x)[:, 3, 1], exact.correlator()[3, 1]),
    ):
        assert abs(float(values.mean()) - mean) < 4 * float(values.std()) / 20_000**0.5


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="x: expected configurations"):
        observables.magnetisation(torch.zeros(3))
    with pytest.raises(ValueError, match="x: expected configurations"):
        observables.correlator([1.0])
    with pytest.raises(ValueError, match="even lengths for a checkerboard"):
        check_lattice((4, 3), even=True)
