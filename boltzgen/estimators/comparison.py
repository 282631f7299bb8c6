"""Do two histograms agree: z-scores of bins and a chi-square over all of them."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from boltzgen.estimators.histograms import Populations

LEAST_EXPECTED = 5.0


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Agreement of a model's populations with a reference.

    Args:
        z: (model - reference) / standard error, NaN in bins left out, shape (M,).
        chi_square: Hotelling's statistic over the compared bins.
        dof: Number of independent populations compared.
        p_value: Probability of a larger chi-square if both agree.
        n_compared: Number of bins with a z-score.
    """

    z: np.ndarray
    chi_square: float
    dof: int
    p_value: float
    n_compared: int


def compare_populations(
    model: Populations, reference: Populations, *, least_population: float = 1e-3
) -> Comparison:
    """Compare populations of the same bins from two independent sources.

    z-scores are given for bins with a reference population above `least_population`. An error
    that rests on fewer than five samples says nothing; in such a bin it is taken from the pooled
    population p, sqrt(p (1 - p) / n), instead.

    The chi-square uses the full covariance C of both sources. Bins with fewer than five expected
    independent samples in either source, or with a low reference population, are pooled into
    one, which is left out if it is still too small; the rest is normalised to one, and one of
    the bins, fixed by the others, is dropped. As C is itself estimated, from a finite number of
    blocks, the statistic is referred to Hotelling's distribution with the degrees of freedom of
    Krishnamoorthy and Yu, which tends to chi-square for many samples.

    Args:
        model: Populations of M bins.
        reference: Populations of the same bins.
        least_population: Reference population from which on a bin is compared by itself.

    Returns:
        z-scores, chi-square and p-value.

    Raises:
        ValueError: The bins differ, fewer than two can be compared, or there are too few
            independent blocks for so many bins.

    References:
        Krishnamoorthy & Yu, Stat. Probab. Lett. 66 (2004) 161.
    """
    if model.values.shape != reference.values.shape:
        raise ValueError(f"model: expected {reference.values.size} bins, got {model.values.size}")
    pooled = _pool(model, reference)
    high = reference.values > least_population
    z = np.full(high.shape, np.nan)
    error = np.hypot(_steady_errors(model, pooled), _steady_errors(reference, pooled))
    z[high] = (model.values - reference.values)[high] / error[high]
    groups = _group(model, reference, high, pooled)
    first, first_covariance = _normalised(model, groups)
    second, second_covariance = _normalised(reference, groups)
    rest = _degrees_of_freedom(
        [first_covariance, second_covariance], [model.n_effective, reference.n_effective]
    )
    dof = first.size
    if rest - dof + 1 <= 1:
        raise ValueError(
            f"model, reference: {dof + 1} bins need more than {dof} independent blocks, got"
            f" {rest:.1f} effective ones: take fewer bins or shorter blocks"
        )
    difference = first - second
    chi_square = float(
        difference @ np.linalg.solve(first_covariance + second_covariance, difference)
    )
    scaled = chi_square * (rest - dof + 1) / (rest * dof)
    p_value = float(stats.f.sf(scaled, dof, rest - dof + 1))
    return Comparison(
        z=z, chi_square=chi_square, dof=dof, p_value=p_value, n_compared=int(high.sum())
    )


def _pool(model: Populations, reference: Populations) -> np.ndarray:
    """Populations of both sources together, each by its number of independent samples."""
    n, m = model.n_independent, reference.n_independent
    return (n * model.values + m * reference.values) / (n + m)


def _steady_errors(source: Populations, pooled: np.ndarray) -> np.ndarray:
    few = source.values * source.n_independent < LEAST_EXPECTED
    multinomial = np.sqrt(pooled * np.maximum(1 - pooled, 0.0) / source.n_independent)
    return np.where(few, np.maximum(source.errors, multinomial), source.errors)


def _group(
    model: Populations, reference: Populations, high: np.ndarray, pooled: np.ndarray
) -> np.ndarray:
    """Matrix (groups, bins) of zeros and ones: each compared bin, and the rest if large enough."""
    least = LEAST_EXPECTED / min(model.n_independent, reference.n_independent)
    single = high & (pooled > least)
    groups = np.eye(single.size)[single]
    if pooled[~single].sum() > least:
        groups = np.vstack([groups, (~single).astype(np.float64)])
    if groups.shape[0] < 2:
        raise ValueError(
            f"model, reference: expected at least 2 bins with {LEAST_EXPECTED:.0f} expected"
            f" samples, got {groups.shape[0]}"
        )
    return groups


def _normalised(source: Populations, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Populations of groups relative to their sum, without the last, and their covariance."""
    values = groups @ source.values
    total = values.sum()
    shares = values / total
    jacobian = (np.eye(values.size) - shares[:, None]) / total @ groups
    covariance = jacobian @ source.covariance @ jacobian.T
    return shares[:-1], covariance[:-1, :-1]


def _degrees_of_freedom(covariances: list[np.ndarray], n_units: list[float]) -> float:
    d = covariances[0].shape[0]
    at_most = sum(n_units) - len(n_units)
    if at_most <= d:  # the sum of the covariances has no inverse
        return at_most
    total = np.linalg.inv(covariances[0] + covariances[1])
    spread = 0.0
    for covariance, n in zip(covariances, n_units, strict=True):
        share = covariance @ total
        spread += float(np.trace(share @ share) + np.trace(share) ** 2) / max(n - 1.0, 1e-9)
    return (d + d**2) / spread
