import numpy as np
import pytest

from boltzgen.estimators import (
    ALANINE_BASINS,
    Basin,
    angle_profile,
    basin_populations,
    free_energy_surface,
    ramachandran_distance,
)


def draw(rng, n, bend=1.0):
    """phi with density proportional to exp(bend cos phi), psi uniform; both exact."""
    return rng.vonmises(0.0, bend, n), rng.uniform(-np.pi, np.pi, n)


def exact_populations(edges, bend):
    fine = np.linspace(-np.pi, np.pi, 36_001)
    middle = 0.5 * (fine[1:] + fine[:-1])
    density = np.exp(bend * np.cos(middle))
    return np.histogram(middle, bins=edges, weights=density / density.sum())[0]


def test_surface_has_exact_values_and_calibrated_errors():
    rng = np.random.default_rng(0)
    z = []
    for _ in range(30):
        phi, psi = draw(rng, 20_000)
        # reweight from bend 1 to bend 1.5
        surface = free_energy_surface(phi, psi, 0.5 * np.cos(phi), n_bins=12)
        exact = np.repeat(exact_populations(surface.edges, 1.5)[:, None], 12, axis=1) / 12
        deviation = -np.log(surface.populations) + np.log(exact)
        z.append((deviation / surface.errors)[exact > 3e-3])
    assert np.abs(np.concatenate(z)).max() < 4.5  # of some 2500 numbers, the largest is near 3.6
    assert 0.9 < np.sqrt(np.mean(np.square(np.concatenate(z)))) < 1.1


def test_empty_bins_are_masked():
    surface = free_energy_surface(np.array([0.1, 0.2, 2.0]), np.array([0.1, 0.1, 2.0]), n_bins=4)
    assert surface.populations.sum() == pytest.approx(1.0)
    assert surface.free_energy.min() == 0.0
    assert np.isposinf(surface.free_energy).sum() == 14
    np.testing.assert_array_equal(np.isnan(surface.errors), np.isinf(surface.free_energy))


def test_profile_has_exact_values():
    rng = np.random.default_rng(1)
    phi = np.repeat(draw(rng, 4000)[0], 5)
    profile = angle_profile(phi, n_bins=18, blocks=np.repeat(np.arange(4000), 5))
    z = (
        profile.populations.values - exact_populations(profile.edges, 1.0)
    ) / profile.populations.errors
    assert np.abs(z).max() < 4


def test_basins_cover_and_wrap():
    rng = np.random.default_rng(2)
    phi, psi = rng.uniform(-np.pi, np.pi, (2, 20_000))
    found = basin_populations(phi, psi)
    areas = {"C5": 130 * 180, "PII/C7eq": 110 * 180, "alphaR": 240 * 180}
    areas |= {"alphaL": 120 * 180, "C7ax": 120 * 180}
    exact = np.array([areas[basin.name] for basin in ALANINE_BASINS]) / 360**2
    assert exact.sum() == pytest.approx(1.0)
    assert np.abs((found.values - exact) / found.errors).max() < 4
    assert found.values.sum() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("phi", "psi", "name"),
    [(-155, 155, "C5"), (-70, 150, "PII/C7eq"), (-80, 70, "PII/C7eq"), (-70, -30, "alphaR"),
     (55, 45, "alphaL"), (65, -75, "C7ax"), (179, 179, "C5")],
)  # fmt: skip
def test_known_conformations_fall_in_their_basins(phi, psi, name):
    angles = np.deg2rad(np.array([phi, phi, 0.5])), np.deg2rad(np.array([psi, psi, 90.0]))
    found = basin_populations(*angles)
    names = [basin.name for basin in ALANINE_BASINS]
    assert found.values[names.index(name)] >= 2 / 3


def test_own_basins_leave_the_rest_out():
    phi = np.array([0.1, 0.2, 3.0, -3.0])
    found = basin_populations(phi, np.zeros(4), basins=[Basin("here", (0, 30), (-10, 10))])
    assert found.values.tolist() == [0.5]


def test_distances_of_histograms():
    rng = np.random.default_rng(3)
    p, q = draw(rng, 200_000, 1.0), draw(rng, 200_000, 0.2)
    found = ramachandran_distance(p, q, n_bins=10)
    edges = np.linspace(-np.pi, np.pi, 11)
    a, b = exact_populations(edges, 1.0), exact_populations(edges, 0.2)
    assert found.kl == pytest.approx((a * np.log(a / b)).sum(), abs=0.01)
    assert found.total_variation == pytest.approx(0.5 * np.abs(a - b).sum(), abs=0.01)
    assert found.missed == 0.0
    weighted = ramachandran_distance(p, q, 0.8 * np.cos(q[0]), n_bins=10)
    assert weighted.kl < 0.002
    assert weighted.total_variation < 0.02


def test_a_missed_region_is_infinite_unless_counted():
    p = np.array([0.1, 0.1, 2.0, 2.0]), np.zeros(4)
    q = np.array([0.1, 0.1]), np.zeros(2)
    found = ramachandran_distance(p, q, n_bins=4)
    assert found.kl == np.inf
    assert found.missed == 0.5
    assert found.total_variation == 0.5
    assert np.isfinite(ramachandran_distance(p, q, n_bins=4, pseudo_count=1e-3).kl)
