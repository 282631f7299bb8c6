"""F, U, S and C_v over temperature from weighted samples, with bootstrap errors."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from boltzgen.checks import check_float64, check_positive
from boltzgen.errors import NonFiniteError
from boltzgen.estimators.resampling import bootstrap_sums, check_blocks
from boltzgen.estimators.weights import check_log_weights


@dataclass(frozen=True, kw_only=True)
class Thermodynamics:
    """Configurational thermodynamics at M temperatures; every array has shape (M,).

    Momenta are not included: add (number of degrees of freedom) / 2 kT to U and its like to the
    others. Energies are in the unit of the potential given, entropies in that unit per K.

    Args:
        temperatures: In K.
        free_energy: F = -kT log Z, Z in the measure of the model's density.
        free_energy_errors: Standard errors.
        reduced_free_energy: -log Z relative to the first temperature, in kT.
        reduced_free_energy_errors: Standard errors, of independent samples at each temperature.
        energy: U, the weighted mean potential.
        energy_errors: Standard errors.
        entropy: S = (U - F) / T.
        entropy_errors: Standard errors.
        heat_capacity: C_v, the weighted variance of the potential over k T^2.
        heat_capacity_errors: Standard errors.
    """

    temperatures: np.ndarray
    free_energy: np.ndarray
    free_energy_errors: np.ndarray
    reduced_free_energy: np.ndarray
    reduced_free_energy_errors: np.ndarray
    energy: np.ndarray
    energy_errors: np.ndarray
    entropy: np.ndarray
    entropy_errors: np.ndarray
    heat_capacity: np.ndarray
    heat_capacity_errors: np.ndarray


def thermodynamics(
    temperatures: np.ndarray,
    potentials: Sequence[np.ndarray],
    log_weights: Sequence[np.ndarray],
    *,
    k_b: float,
    rng: Generator,
    n_resamples: int = 200,
) -> Thermodynamics:
    """F(T), U(T), S(T) and C_v(T), each temperature from its own weighted samples.

    Each bootstrap resample draws samples with their weights, and all four quantities are
    computed from the same resample, so that their correlation is in the error of S.

    Args:
        temperatures: In K, shape (M,).
        potentials: For each temperature the potential energies of its samples, shape (N,); a
            forbidden sample (log-weight -inf) may have +inf.
        log_weights: For each temperature log p~ - log q with p~ = exp(-U / kT), shape (N,).
        k_b: Boltzmann's constant in the unit of the potential per K.
        rng: The random stream of the bootstrap.
        n_resamples: How many bootstrap resamples.

    Returns:
        Values and errors at every temperature.

    Raises:
        ValueError: Lengths, shapes or dtypes do not match.
        NonFiniteError: A log-weight is NaN or +inf, or a sample with weight has no finite energy.
    """
    check_float64("temperatures", temperatures, 1)
    check_positive("temperatures", float(temperatures.min()))
    check_positive("k_b", k_b)
    if not len(potentials) == len(log_weights) == temperatures.size:
        raise ValueError(
            f"potentials, log_weights: expected {temperatures.size} arrays,"
            f" got {len(potentials)} and {len(log_weights)}"
        )
    values, errors = np.empty((5, temperatures.size)), np.empty((5, temperatures.size))
    for m, temperature in enumerate(temperatures):
        shift, columns = _columns(m, potentials[m], log_weights[m])
        sums = bootstrap_sums(columns, n_resamples=n_resamples, rng=rng)
        values[:, m] = _quantities(columns.sum(0), shift, k_b * temperature, temperature)
        replicas = _quantities(sums.T, shift, k_b * temperature, temperature)
        errors[:, m] = replicas.std(axis=-1, ddof=1)
    reduced_errors = np.hypot(errors[4], errors[4, 0])
    reduced_errors[0] = 0.0
    return Thermodynamics(
        temperatures=temperatures.copy(),
        free_energy=values[0],
        free_energy_errors=errors[0],
        reduced_free_energy=values[4] - values[4, 0],
        reduced_free_energy_errors=reduced_errors,
        energy=values[1],
        energy_errors=errors[1],
        entropy=values[2],
        entropy_errors=errors[2],
        heat_capacity=values[3],
        heat_capacity_errors=errors[3],
    )


@dataclass(frozen=True, kw_only=True)
class Energetics:
    """Mean energy and heat capacity of unweighted, possibly correlated reference samples.

    Args:
        energy: Mean potential.
        energy_error: Standard error.
        heat_capacity: Variance of the potential over k T^2.
        heat_capacity_error: Standard error.
    """

    energy: float
    energy_error: float
    heat_capacity: float
    heat_capacity_error: float


def reference_energetics(
    potential: np.ndarray,
    temperature: float,
    *,
    k_b: float,
    rng: Generator,
    n_resamples: int = 200,
    blocks: np.ndarray | None = None,
) -> Energetics:
    """U and C_v of a simulation at one temperature, with block-bootstrap errors.

    Args:
        potential: Potential energies, shape (N,).
        temperature: In K.
        k_b: Boltzmann's constant in the unit of the potential per K.
        rng: The random stream of the bootstrap.
        n_resamples: How many bootstrap resamples.
        blocks: Labels of correlated groups, shape (N,).

    Returns:
        Both quantities with errors.

    Raises:
        ValueError: A shape or dtype is wrong.
        NonFiniteError: An energy is not finite.
    """
    labels = check_blocks(blocks, potential.size)
    shift, columns = _columns(0, potential, np.zeros(potential.size))
    sums = bootstrap_sums(columns, n_resamples=n_resamples, rng=rng, blocks=labels)
    values = _quantities(columns.sum(0), shift, k_b * temperature, temperature)
    errors = _quantities(sums.T, shift, k_b * temperature, temperature).std(axis=-1, ddof=1)
    return Energetics(
        energy=float(values[1]),
        energy_error=float(errors[1]),
        heat_capacity=float(values[3]),
        heat_capacity_error=float(errors[3]),
    )


def _columns(
    m: int, potential: np.ndarray, log_w: np.ndarray
) -> tuple[tuple[float, float], np.ndarray]:
    """Shifts (of log_w and of U) and the columns 1, w, w U, w U^2 of shifted weights and U."""
    check_log_weights(f"log_weights[{m}]", log_w)
    check_float64(f"potentials[{m}]", potential, 1)
    if potential.shape != log_w.shape:
        raise ValueError(f"potentials[{m}]: expected {log_w.shape}, got {potential.shape}")
    used = np.isfinite(log_w)
    n_bad = int((~np.isfinite(potential[used])).sum())
    if n_bad:
        raise NonFiniteError(
            f"potentials[{m}]: expected finite energies where the weight is not zero, got {n_bad}"
            " that are not"
        )
    w = np.exp(log_w - log_w.max())
    centre = float(np.average(potential[used], weights=w[used]))
    u = np.where(used, potential - centre, 0.0)
    return (float(log_w.max()), centre), np.stack([np.ones_like(w), w, w * u, w * u**2], axis=1)


def _quantities(
    sums: np.ndarray, shift: tuple[float, float], kt: float, temperature: float
) -> np.ndarray:
    """F, U, S, C_v and -log Z from the sums of the columns, (4, ...) -> (5, ...)."""
    count, s0, s1, s2 = sums
    log_z = np.log(s0 / count) + shift[0]
    mean = s1 / s0
    energy = mean + shift[1]
    capacity = (s2 / s0 - mean**2) / (kt * temperature)
    return np.stack([-kt * log_z, energy, (energy + kt * log_z) / temperature, capacity, -log_z])
