"""Every toy against numbers found elsewhere, its own derivatives, and its own samples."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from systems.toys import (
    DoubleWell2D,
    GaussianMixture,
    HarmonicWell,
    ManyWell,
    MultiWell,
    QuarticWell,
)

# Exact values by adaptive quadrature (wells) and on a 4001^2 grid (mixture), to all digits given.
WELLS = [  # T, then entropy, log Z, mean U of the double well in 2-D and the multi well in 5-D
    (0.4, 1.27445613, 10.24968371, -3.59009103, 1.56831480, 48.94445271, -18.95045516),
    (0.5, 1.51370208, 8.47935299, -3.48282546, 2.20668567, 39.53494022, -18.66412728),
    (1.0, 2.29125683, 5.21194027, -2.92068344, 4.36159147, 21.46500868, -17.10341721),
    (1.1, 2.39755440, 4.95134471, -2.80916934, 4.65480386, 19.92375543, -16.79584672),
]
MIXTURE = [  # T, Z, mean of U, entropy
    (0.20691, 5.5167346e-4, 1.58563363, 0.16084351),
    (0.33598, 1.2259039e-2, 1.80124796, 0.95968441),
    (0.54556, 1.1809868e-1, 2.23315707, 1.95709519),
    (0.88587, 6.8668106e-1, 2.83552913, 2.82495579),
    (1.00000, 1.0, 3.00435034, 3.00435034),
    (1.12884, 1.4229298, 3.18143973, 3.17104456),
    (1.83298, 4.7516644, 4.00886396, 3.74556954),
    (2.97635, 12.202507, 5.15235790, 4.23274088),
    (4.83293, 26.035745, 6.83940334, 4.67463747),
]
TOYS = {
    "harmonic": lambda: HarmonicWell(n_dims=3, stiffness=2.5),
    "double well": DoubleWell2D,
    "tilted double well": lambda: DoubleWell2D(QuarticWell(a=1.5, b=-3.0, c=0.7)),
    "multi well": MultiWell,
    "many well": ManyWell,
    "mixture": GaussianMixture,
}
DIGIT = 0.6e-8


@pytest.mark.parametrize("row", WELLS, ids=lambda row: f"T{row[0]}")
def test_the_wells_have_the_known_thermodynamics(row):
    temperature, *expected = row
    double, multi = DoubleWell2D(), MultiWell()
    found = [
        f(temperature)
        for toy in (double, multi)
        for f in (toy.entropy, toy.log_partition, toy.mean_potential)
    ]
    np.testing.assert_allclose(found, expected, rtol=0, atol=DIGIT)


@pytest.mark.parametrize("row", MIXTURE, ids=lambda row: f"T{row[0]}")
def test_the_mixture_has_the_known_thermodynamics(row):
    temperature, partition, mean, entropy = row
    log_partition, found_mean, _ = GaussianMixture()._integrate(temperature)
    assert math.exp(log_partition) == pytest.approx(partition, rel=1e-7)
    assert found_mean == pytest.approx(mean, abs=DIGIT)
    assert log_partition + found_mean / temperature == pytest.approx(entropy, abs=DIGIT)


def test_the_many_well_has_the_known_partition_function():
    many = ManyWell()
    assert math.exp(many.quartic.log_partition(1.0)) == pytest.approx(11784.5092651, abs=1e-7)
    assert ManyWell(n_dims=2).log_partition(1.0) == pytest.approx(10.29347971, abs=DIGIT)
    assert many.log_partition(1.0) == pytest.approx(164.69567531, abs=DIGIT)
    right = many.quartic.probability_right(1.0)
    assert right == pytest.approx(0.8443071, abs=0.6e-7)
    assert math.log(right / (1 - right)) == pytest.approx(1.6906308, abs=0.6e-7)
    assert many.n_modes == 65536


@pytest.mark.parametrize(
    ("beta", "expected"), [(0.5, 2.69081181), (1.0, 4.29300174), (2.0, 7.90698804)]
)
def test_the_quartic_well_has_the_known_partition_function(beta, expected):
    assert QuarticWell().log_partition(1 / beta) == pytest.approx(expected, abs=DIGIT)


@pytest.mark.parametrize("temperature", [0.02, 1.0, 30.0])
@pytest.mark.parametrize("coefficients", [(1.5, -3.0, 0.7), (0.0, 2.0, 0.5), (-4.0, -4.0, 1.0)])
def test_the_quartic_well_agrees_with_adaptive_quadrature(coefficients, temperature):
    well = QuarticWell(*coefficients)
    a, b, c = coefficients
    x = np.linspace(-6, 6, 200001)
    lowest = (a * x + b * x**2 + c * x**4).min()

    def integral(power, low, high):
        def integrand(x):
            u = a * x + b * x**2 + c * x**4
            return u**power * math.exp(-(u - lowest) / temperature)

        return quad(integrand, low, high, epsabs=0, epsrel=1e-11, limit=500, points=[-1.5, 0, 1.5])

    z, mean, square = (integral(power, -7, 7)[0] for power in range(3))
    assert well.log_partition(temperature) == pytest.approx(math.log(z) - lowest / temperature)
    mean, square = mean / z, square / z
    assert well.moments(temperature) == pytest.approx((mean, square - mean**2), rel=1e-7)
    right = integral(0, 0, 7)[0] / z
    assert well.probability_right(temperature) == pytest.approx(right, abs=1e-9)


def test_the_harmonic_well_in_closed_form():
    well = HarmonicWell(n_dims=3, stiffness=2.5)
    assert well.log_partition(0.7) == pytest.approx(1.5 * math.log(2 * math.pi * 0.7 / 2.5))
    assert well.mean_potential(0.7) == pytest.approx(1.05)
    assert well.heat_capacity(0.7) == pytest.approx(1.5)
    assert well.entropy(0.7) == pytest.approx(1.5 * math.log(2 * math.pi * math.e * 0.7 / 2.5))


@pytest.mark.parametrize("name", TOYS)
def test_thermodynamics_is_consistent(name):
    """d log Z / dT = <U> / T^2 and d<U>/dT = C_v, by central differences of error O(h^2)."""
    toy, temperature, h = TOYS[name](), 0.8, 1e-3
    slope = (toy.log_partition(temperature + h) - toy.log_partition(temperature - h)) / (2 * h)
    assert slope == pytest.approx(toy.mean_potential(temperature) / temperature**2, rel=2e-5)
    slope = (toy.mean_potential(temperature + h) - toy.mean_potential(temperature - h)) / (2 * h)
    assert slope == pytest.approx(toy.heat_capacity(temperature), rel=2e-5)


@pytest.mark.parametrize("name", TOYS)
@pytest.mark.parametrize("temperature", [0.5, 1.7])
def test_exact_samples_have_the_exact_moments(name, temperature, generator):
    toy, n = TOYS[name](), 20000
    x = toy.sample_exact(temperature, n, generator=generator)
    assert x.dtype == torch.float64
    assert x.shape == (n, *toy.event_shape)
    u = toy.potential(x)
    variance = toy.heat_capacity(temperature) * temperature**2
    z = (u.mean().item() - toy.mean_potential(temperature)) / math.sqrt(variance / n)
    assert abs(z) < 4
    error = (u - u.mean()).square().std().item() / math.sqrt(n)
    assert abs(u.var().item() - variance) < 4 * error
    # Reweighting to another temperature with the exact normalisation has mean weight one.
    other = 1.05 * temperature
    weight = (toy.log_density(x, other) - toy.log_density(x, temperature)).exp()
    assert abs(weight.mean().item() - 1) < 4 * weight.std().item() / math.sqrt(n)


@pytest.mark.parametrize("temperature", [0.4, 1.1])
def test_samples_of_the_double_well_follow_its_histogram(temperature, generator):
    toy, n = DoubleWell2D(QuarticWell(a=0.3)), 50000
    d = toy.sample_exact(temperature, n, generator=generator)[:, 0]
    edges = torch.linspace(-2.4, 2.4, 25, dtype=torch.float64)
    counts = torch.histogram(d, edges)[0]
    inner = torch.linspace(0, 1, 201, dtype=torch.float64)
    grid = edges[:-1, None] + inner * (edges[1] - edges[0])
    density = (-toy.quartic.potential(grid) / temperature).exp()
    expected = torch.trapezoid(density, grid) / math.exp(toy.quartic.log_partition(temperature))
    keep = expected * n > 10
    chi = ((counts - n * expected)[keep] ** 2 / (n * expected[keep])).sum().item()
    n_bins = int(keep.sum())
    assert abs(chi - n_bins) < 4 * math.sqrt(2 * n_bins)


def test_samples_are_drawn_from_the_generator_alone():
    for make in TOYS.values():
        first, second = (
            make().sample_exact(1.0, 50, generator=torch.Generator().manual_seed(3))
            for _ in range(2)
        )
        assert torch.equal(first, second)


def test_tables_of_forty_gaussians():
    """GMM-40 of FAB: well separated, so the entropy is close to log 40 + that of one component."""
    draw = torch.rand(40, 2, generator=torch.Generator().manual_seed(0))
    variance = math.log1p(math.e) ** 2
    means = ((draw - 0.5) * 80).tolist()
    mixture = GaussianMixture(means, [[[variance, 0.0], [0.0, variance]]] * 40)
    bound = math.log(40) + math.log(2 * math.pi * math.e * variance)
    assert bound == pytest.approx(7.07, abs=0.005)
    assert bound - 0.35 < mixture.entropy(1.0) < bound
    assert mixture.log_partition(1.0) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", TOYS)
def test_configurations_far_out_are_forbidden_and_never_nan(name):
    toy = TOYS[name]()
    far = torch.full((2, *toy.event_shape), math.inf)
    far[1] *= -1
    if name != "mixture":
        assert torch.equal(toy.energy(far, 1.0), torch.full((2,), math.inf))
    far = torch.full((2, *toy.event_shape), 1e30)
    assert not toy.energy(far, 1.0).isnan().any()


def test_bad_arguments_are_named(generator):
    toy = DoubleWell2D()
    for call in (toy.log_partition, toy.mean_potential, toy.heat_capacity, toy.entropy):
        with pytest.raises(ValueError, match=r"^T: expected a finite number above 0, got -1"):
            call(-1.0)
    with pytest.raises(ValueError, match=r"^n: expected an integer of at least 1, got 0"):
        toy.sample_exact(1.0, 0, generator=generator)
    with pytest.raises(ValueError, match=r"^n_dims: expected a multiple of 2, got 5"):
        ManyWell(n_dims=5)
    with pytest.raises(ValueError, match=r"^n_dims: .*at least 1, got 0"):
        MultiWell(n_dims=0)
    with pytest.raises(ValueError, match=r"^c: expected a finite number above 0"):
        QuarticWell(c=0.0)
    with pytest.raises(ValueError, match=r"^stiffness: expected"):
        HarmonicWell(stiffness=-1.0)
    with pytest.raises(ValueError, match=r"^T: expected at most 1e5 proposals a sample"):
        GaussianMixture().sample_exact(0.1, 1, generator=generator)
    with pytest.raises(ValueError, match=r"^x: expected shape \(B, 2\), got \(3, 4\)"):
        toy.energy(torch.zeros(3, 4), 1.0)
    with pytest.raises(ValueError, match=r"^covariances: expected positive definite"):
        GaussianMixture([[0.0, 0.0]], [[[1.0, 2.0], [2.0, 1.0]]])
    with pytest.raises(ValueError, match=r"^covariances: expected shape \(1, 2, 2\)"):
        GaussianMixture([[0.0, 0.0]], [[1.0, 2.0]])
    with pytest.raises(ValueError, match=r"^covariances: expected symmetric"):
        GaussianMixture([[0.0, 0.0]], [[[1.0, 0.2], [0.1, 1.0]]])
    with pytest.raises(ValueError, match=r"^means: expected shape \(K, 2\)"):
        GaussianMixture([[0.0]], [[[1.0, 0.0], [0.0, 1.0]]])
