"""Harmonic oscillator in D dimensions: U = D/2 kT, C_v = D/2 k, Z = (2 pi kT / c)^(D/2)."""

import numpy as np
import pytest

from boltzgen.errors import NonFiniteError
from boltzgen.estimators import reference_energetics, thermodynamics

K_B = 0.00831446
STIFFNESS = 3.0
DIMENSION = 4
TEMPERATURES = np.array([300.0, 400.0, 600.0])
KT = K_B * TEMPERATURES


def draw(rng, n=1500):
    potentials, log_weights = [], []
    for kt in KT:
        variance = 1.15 * kt / STIFFNESS
        x = np.sqrt(variance) * rng.normal(size=(n, DIMENSION))
        square = np.square(x).sum(1)
        log_q = -0.5 * square / variance - 0.5 * DIMENSION * np.log(2 * np.pi * variance)
        potentials.append(0.5 * STIFFNESS * square)
        log_weights.append(-potentials[-1] / kt - log_q)
    return potentials, log_weights


def exact():
    free_energy = -KT * 0.5 * DIMENSION * np.log(2 * np.pi * KT / STIFFNESS)
    energy = 0.5 * DIMENSION * KT
    return {
        "free_energy": free_energy,
        "reduced_free_energy": (free_energy / KT) - (free_energy / KT)[0],
        "energy": energy,
        "entropy": (energy - free_energy) / TEMPERATURES,
        "heat_capacity": np.full(3, 0.5 * DIMENSION * K_B),
    }


def test_exact_values_with_calibrated_errors():
    rng = np.random.default_rng(0)
    z = {name: [] for name in exact()}
    for _ in range(60):
        result = thermodynamics(TEMPERATURES, *draw(rng), k_b=K_B, rng=rng, n_resamples=100)
        for name, expected in exact().items():
            first = 1 if name.startswith("reduced") else 0
            deviation = (getattr(result, name) - expected)[first:]
            z[name].append(deviation / getattr(result, f"{name}_errors")[first:])
        assert result.reduced_free_energy[0] == 0.0
        assert result.reduced_free_energy_errors[0] == 0.0
    for name, values in z.items():
        values = np.array(values)
        # the mean's z-score; single ones are also below 4, and their spread is 1 within 30 %
        assert abs(values.mean()) * np.sqrt(values.size) < 4, name
        assert np.abs(values).max() < 4, name
        assert 0.7 < np.sqrt((values**2).mean()) < 1.4, name


def test_weights_of_zero_may_have_infinite_energy():
    potentials, log_weights = draw(np.random.default_rng(1))
    whole = thermodynamics(
        TEMPERATURES, potentials, log_weights, k_b=K_B, rng=np.random.default_rng(2)
    )
    for potential, log_w in zip(potentials, log_weights, strict=True):
        potential[:300], log_w[:300] = np.inf, -np.inf
    part = thermodynamics(
        TEMPERATURES, potentials, log_weights, k_b=K_B, rng=np.random.default_rng(2)
    )
    assert np.isfinite(part.heat_capacity).all()
    # a fifth of the samples lost: log Z falls by log 0.8, U stays
    np.testing.assert_allclose(
        part.free_energy - whole.free_energy, -KT * np.log(0.8), atol=4 * part.free_energy_errors[2]
    )


def test_entropy_is_the_slope_of_the_free_energy():
    rng = np.random.default_rng(3)
    grid = np.array([299.0, 300.0, 301.0])
    exact_f = -K_B * grid * 0.5 * DIMENSION * np.log(2 * np.pi * K_B * grid / STIFFNESS)
    slope = -(exact_f[2] - exact_f[0]) / 2
    result = thermodynamics(TEMPERATURES, *draw(rng, 20_000), k_b=K_B, rng=rng)
    assert abs(result.entropy[0] - slope) < 4 * result.entropy_errors[0]


def test_reference_energetics_with_correlated_samples():
    rng = np.random.default_rng(4)
    z = []
    for _ in range(50):
        x = np.repeat(np.sqrt(KT[0] / STIFFNESS) * rng.normal(size=(500, DIMENSION)), 6, axis=0)
        potential = 0.5 * STIFFNESS * np.square(x).sum(1)
        found = reference_energetics(
            potential, 300.0, k_b=K_B, rng=rng, blocks=np.repeat(np.arange(500), 6)
        )
        z.append((found.energy - 0.5 * DIMENSION * KT[0]) / found.energy_error)
        z.append((found.heat_capacity - 0.5 * DIMENSION * K_B) / found.heat_capacity_error)
    assert np.abs(z).max() < 4
    assert 0.7 < np.sqrt(np.mean(np.square(z))) < 1.4


def test_bad_arguments():
    rng = np.random.default_rng(0)
    potentials, log_weights = draw(rng)
    with pytest.raises(ValueError, match="expected 3 arrays, got 2 and 3"):
        thermodynamics(TEMPERATURES, potentials[:2], log_weights, k_b=K_B, rng=rng)
    with pytest.raises(ValueError, match="temperatures: expected a finite number above 0"):
        thermodynamics(-TEMPERATURES, potentials, log_weights, k_b=K_B, rng=rng)
    potentials[1][5] = np.nan
    with pytest.raises(NonFiniteError, match=r"potentials\[1\]: .* got 1 that are not"):
        thermodynamics(TEMPERATURES, potentials, log_weights, k_b=K_B, rng=rng)
    log_weights[0][0] = np.nan
    with pytest.raises(NonFiniteError, match=r"log_weights\[0\]: .* 1 NaN"):
        thermodynamics(TEMPERATURES, potentials, log_weights, k_b=K_B, rng=rng)
