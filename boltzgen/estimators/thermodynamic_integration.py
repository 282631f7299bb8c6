"""Log Z along a control by integrating means, d log Z / db = -E_b[dE/db], with both errors.

The means are those of independent samples at each value of the control, so that the statistical
error is that of a linear sum. The other error is that of the rule of integration: a rule of higher
order, or the same one on every other value, tells how large it is.

References:
    Kirkwood, J. Chem. Phys. 3, 300 (1935); Gelman and Meng, Stat. Sci. 13, 163 (1998).
    Friel, Hurn and Wyse, Improving power posterior estimation of statistical evidence, Stat.
    Comput. 24, 709 (2014): the corrected trapezoid.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.interpolate import CubicSpline, make_interp_spline

from boltzgen.checks import check_float64
from boltzgen.errors import NonFiniteError
from boltzgen.estimators.resampling import Estimate, check_blocks, sum_blocks
from boltzgen.estimators.weights import check_log_weights

Rule = Literal["trapezoid", "spline"]


@dataclass(frozen=True, kw_only=True)
class SlopeTable:
    """Moments of dE/db at G values of a control b, each from its own independent samples.

    For a posterior L^b prior, E = -b log L - log prior and dE/db = -log L. The mean then has the
    derivative -Var_b(dE/db), as has any E linear in b; for others leave the variances out.

    Args:
        grid: Values of b, rising, float64 (G,), two or more.
        means: Estimates of E_b[dE/db], float64 (G,).
        errors: Their standard errors, (G,).
        variances: Estimates of Var_b(dE/db), (G,), or None.
        variance_errors: Their standard errors, (G,), given with the variances.
        covariances: Covariance of the estimates of mean and variance, (G,); where it is None,
            errors are upper limits over all correlations that are possible.
    """

    grid: np.ndarray
    means: np.ndarray
    errors: np.ndarray
    variances: np.ndarray | None = None
    variance_errors: np.ndarray | None = None
    covariances: np.ndarray | None = None

    def __post_init__(self) -> None:
        check_float64("grid", self.grid, 1)
        if self.grid.size < 2 or not (np.diff(self.grid) > 0).all():
            raise ValueError(f"grid: expected two or more rising numbers, got {self.grid}")
        for name in ("means", "errors", "variances", "variance_errors", "covariances"):
            values = getattr(self, name)
            if values is None and name not in ("means", "errors"):
                continue
            check_float64(name, values, 1)
            if values.shape != self.grid.shape:
                raise ValueError(f"{name}: expected shape {self.grid.shape}, got {values.shape}")
            if not np.isfinite(values).all():
                raise NonFiniteError(f"{name}: expected finite numbers, got {values}")
            if name != "means" and name != "covariances" and (values < 0).any():
                raise ValueError(f"{name}: expected no number below 0, got {values.min()}")
        if (self.variances is None) != (self.variance_errors is None):
            raise ValueError("variance_errors: expected together with variances, got one of them")
        if self.covariances is not None and self.variances is None:
            raise ValueError("covariances: expected together with variances, got them alone")


@dataclass(frozen=True, kw_only=True)
class Quadrature:
    """log Z(b_k) - log Z(b_0) by one rule; every array has shape (G,) and starts with zero.

    Args:
        values: The differences.
        errors: Statistical standard errors.
        discretisation: Estimate of what the rule, given exact means, is off by: rule minus truth.
            NaN where the table is too short for one. It is not subtracted from the values.
        discretisation_errors: Statistical standard errors of that estimate: where they are as
            large, it says only that the rule is no worse than this.
    """

    values: np.ndarray
    errors: np.ndarray
    discretisation: np.ndarray
    discretisation_errors: np.ndarray

    @property
    def last(self) -> Estimate:
        """The difference of the two ends with its statistical error."""
        return Estimate(float(self.values[-1]), float(self.errors[-1]))


@dataclass(frozen=True, kw_only=True)
class ThermodynamicIntegral:
    """log Z over a grid by two rules.

    Args:
        grid: Values of the control, (G,).
        trapezoid: From the means alone; its discretisation is the difference to the corrected
            rule, or Richardson's extrapolation where there are no variances.
        corrected: With the derivatives of the means, exact for slopes of third degree between
            neighbours; its discretisation is Richardson's. None where there are no variances.
    """

    grid: np.ndarray
    trapezoid: Quadrature
    corrected: Quadrature | None


def thermodynamic_integration(table: SlopeTable) -> ThermodynamicIntegral:
    """Log Z(b_k) - log Z(b_0) = -integral of E_b[dE/db] from b_0 to b_k, with both errors.

    Between neighbours h apart with means f and variances V the trapezoid is -h (f_0 + f_1) / 2, off
    by -h^3 f'' / 12; the corrected one adds -h^2 (V_1 - V_0) / 12 and is off by h^5 f'''' / 720.
    Richardson's estimate takes f'' or f'''' from the difference to the rule with every other value,
    on all pairs of neighbouring intervals, whatever their lengths.

    Args:
        table: Means, and variances for the corrected rule.
    """
    trapezoid = _rule(table.grid, step=1, corrected=False)
    if table.variances is None:
        error = _richardson(table.grid, corrected=False)
        return ThermodynamicIntegral(
            grid=table.grid, trapezoid=_quadrature(table, trapezoid, error), corrected=None
        )
    corrected = _rule(table.grid, step=1, corrected=True)
    error = _richardson(table.grid, corrected=True)
    return ThermodynamicIntegral(
        grid=table.grid,
        trapezoid=_quadrature(table, trapezoid, trapezoid - corrected),
        corrected=_quadrature(table, corrected, error),
    )


def slope_table(
    grid: np.ndarray,
    slopes: Sequence[np.ndarray],
    log_weights: Sequence[np.ndarray] | None = None,
    *,
    blocks: Sequence[np.ndarray] | None = None,
) -> SlopeTable:
    """Means and variances of dE/db from samples at each value, with errors to first order.

    Args:
        grid: Values of b, rising, float64 (G,).
        slopes: For each value dE/db at its samples, float64 (N,); a sample of weight zero may have
            one that is not finite.
        log_weights: For each value log-weights up to a constant, (N,); by default all equal.
        blocks: For each value labels of correlated groups, (N,).

    Raises:
        ValueError: Lengths, shapes or dtypes do not match.
        NonFiniteError: A log-weight is NaN or +inf, or a sample with weight has no finite slope.
    """
    check_float64("grid", grid, 1)
    for name, given in (("slopes", slopes), ("log_weights", log_weights), ("blocks", blocks)):
        if given is not None and len(given) != grid.size:
            raise ValueError(f"{name}: expected {grid.size} arrays, got {len(given)}")
    rows = []
    for g in range(grid.size):
        check_float64(f"slopes[{g}]", slopes[g], 1)
        log_w = np.zeros(slopes[g].size) if log_weights is None else log_weights[g]
        rows.append(_moments(g, slopes[g], log_w, None if blocks is None else blocks[g]))
    mean, variance, mean_square, variance_square, product = np.array(rows).T
    return SlopeTable(
        grid=grid,
        means=mean,
        errors=np.sqrt(mean_square),
        variances=variance,
        variance_errors=np.sqrt(variance_square),
        covariances=product,
    )


@dataclass(frozen=True, kw_only=True)
class IntegratedTables:
    """log Z relative to the first of K values, from tables whose values are correlated.

    Args:
        at: Values of the control, (K,).
        values: log Z(b) - log Z(at[0]), (K,).
        errors: Standard errors from leaving out one table at a time, (K,).
    """

    at: np.ndarray
    values: np.ndarray
    errors: np.ndarray


def integrate_tables(
    grid: np.ndarray, sums: np.ndarray, *, at: np.ndarray, rule: Rule = "spline"
) -> IntegratedTables:
    """Log Z over a control from R independent tables of weighted sums on one grid.

    For slopes at all values of the grid from the same samples, reweighted: their means are
    correlated, so that only whole tables can be taken as independent. The integral is that of the
    means over all tables; leaving out one table at a time gives its error and takes out the bias of
    order 1 / R that the ratios have.

    Args:
        grid: Values of b, rising, float64 (G,).
        sums: Sums of the weights and of weights times dE/db in each table, float64 (R, G, 2). All
            tables of one value of b share the constant of its weights.
        at: Where the integral is wanted, float64 (K,), within the grid.
        rule: Of the interpolation that is integrated.

    Raises:
        ValueError: A shape or dtype is wrong, there are fewer than two tables, or a point is
            outside the grid.
        NonFiniteError: A sum is not finite, or without one table no weights are left.
    """
    check_float64("sums", sums, 3)
    if len(sums) < 2 or sums.shape[1:] != (grid.size, 2):
        raise ValueError(f"sums: expected (R >= 2, {grid.size}, 2), got {sums.shape}")
    n, total = len(sums), sums.sum(0)
    without = total - sums
    if not (np.isfinite(sums).all() and (without[..., 0] > 0).all()):
        raise NonFiniteError("sums: expected finite numbers and weights in two tables or more")
    weights = -integration_weights(grid, at, rule=rule)
    values = weights @ (total[:, 1] / total[:, 0])
    left = without[..., 1] / without[..., 0] @ weights.T
    values = n * values - (n - 1) * left.mean(0)
    return IntegratedTables(
        at=at,
        values=values,
        errors=np.sqrt((n - 1) / n * np.square(left - left.mean(0)).sum(0)),
    )


def integration_weights(grid: np.ndarray, at: np.ndarray, *, rule: Rule = "spline") -> np.ndarray:
    """Matrix that takes values on a grid to their integral from at[0] to each `at`, (K, G).

    Args:
        grid: Rising numbers, float64 (G,).
        at: Float64 (K,), within the grid.
        rule: Interpolation by straight lines ("trapezoid") or by the cubic spline whose two
            pieces at either end are one polynomial ("spline"; four values or more).

    Raises:
        ValueError: A shape or dtype is wrong, the grid does not rise or is too short, or a point is
            outside of it.
    """
    check_float64("grid", grid, 1)
    check_float64("at", at, 1)
    least = {"trapezoid": 2, "spline": 4}.get(rule)
    if least is None:
        raise ValueError(f"rule: expected trapezoid or spline, got {rule!r}")
    if grid.size < least or not (np.diff(grid) > 0).all():
        raise ValueError(f"grid: expected {least} or more rising numbers, got {grid}")
    if at.size < 1 or not ((at >= grid[0]) & (at <= grid[-1])).all():
        raise ValueError(f"at: expected numbers in {grid[0]} to {grid[-1]}, got {at}")
    units = np.eye(grid.size)
    curve = (
        make_interp_spline(grid, units, k=1) if rule == "trapezoid" else CubicSpline(grid, units)
    )
    found = curve.antiderivative()(at)
    return found - found[0]


def _moments(
    g: int, slopes: np.ndarray, log_w: np.ndarray, blocks: np.ndarray | None
) -> tuple[float, float, float, float, float]:
    """Mean, variance, and squared errors of the two with their covariance."""
    check_log_weights(f"log_weights[{g}]", log_w)
    if log_w.shape != slopes.shape:
        raise ValueError(f"log_weights[{g}]: expected shape {slopes.shape}, got {log_w.shape}")
    used = np.isfinite(log_w)
    n_bad = int((~np.isfinite(slopes[used])).sum())
    if n_bad:
        raise NonFiniteError(f"slopes[{g}]: expected finite numbers, got {n_bad} that are not")
    w = np.exp(log_w - log_w.max())
    w /= w.sum()
    u = np.where(used, slopes, 0.0)
    mean = float(w @ u)
    size = float(1 / np.square(w).sum())
    if not size > 1 + 1e-9:
        raise NonFiniteError(
            f"log_weights[{g}]: all weight is on one sample, which has no variance"
        )
    # of N equal weights this is the variance with N - 1
    variance = float(w @ np.square(u - mean)) * size / (size - 1)
    influence = w[:, None] * np.stack([u - mean, np.square(u - mean) - variance], axis=1)
    rows = sum_blocks(influence, check_blocks(blocks, w.size))
    spread = rows.T @ rows * len(rows) / (len(rows) - 1)
    return mean, variance, spread[0, 0], spread[1, 1], spread[0, 1]


def _rule(grid: np.ndarray, *, step: int, corrected: bool) -> np.ndarray:
    """Weights of means and variances in minus the integral from each value to the `step`-th next.

    Returns:
        Shape (G - step, 2 G), the means first.
    """
    g = grid.size
    width = (grid[step:] - grid[:-step])[:, None]
    first, last = np.eye(g)[:-step], np.eye(g)[step:]
    of_variances = width**2 / 12 * (first - last) if corrected else np.zeros((g - step, g))
    return np.hstack([-0.5 * width * (first + last), of_variances])


def _richardson(grid: np.ndarray, *, corrected: bool) -> np.ndarray:
    """Weights in the estimated error of a rule on each interval, (G - 1, 2 G); NaN if G is 2.

    The error of an interval of width h is k h^p; two neighbours as one give k, and an interval
    takes the mean over the pairs that it is in.
    """
    power, widths = (5 if corrected else 3), np.diff(grid)
    if grid.size < 3:
        return np.full((1, 2 * grid.size), np.nan)
    fine = _rule(grid, step=1, corrected=corrected)
    coarse = _rule(grid, step=2, corrected=corrected)
    powers = widths**power
    excess = (grid[2:] - grid[:-2]) ** power - powers[:-1] - powers[1:]
    strength = (coarse - fine[:-1] - fine[1:]) / excess[:, None]
    before, after = np.vstack([strength[:1], strength]), np.vstack([strength, strength[-1:]])
    return 0.5 * (before + after) * powers[:, None]


def _quadrature(table: SlopeTable, rule: np.ndarray, error: np.ndarray) -> Quadrature:
    """Sums over intervals of a rule and of its estimated error."""
    values, errors = _summed(table, rule)
    discretisation, discretisation_errors = _summed(table, error)
    return Quadrature(
        values=values,
        errors=errors,
        discretisation=discretisation,
        discretisation_errors=discretisation_errors,
    )


def _summed(table: SlopeTable, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A linear form of means and variances, summed over intervals, with its standard error."""
    total = np.vstack([np.zeros(weights.shape[1]), weights.cumsum(0)])
    of_means, of_variances = np.hsplit(total, 2)
    if table.variances is None or table.variance_errors is None:
        return of_means @ table.means, np.sqrt(of_means**2 @ table.errors**2)
    values = of_means @ table.means + of_variances @ table.variances
    both = np.abs(of_means * of_variances), table.errors * table.variance_errors
    if table.covariances is not None:
        both = of_means * of_variances, table.covariances
    square = of_means**2 @ table.errors**2 + of_variances**2 @ table.variance_errors**2
    return values, np.sqrt(np.maximum(square + 2 * both[0] @ both[1], 0.0))
