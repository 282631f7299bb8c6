"""Against the power posterior of a normal mean: y_i ~ N(theta, 1), theta ~ N(0, s^2)."""

import dataclasses

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from boltzgen.errors import NonFiniteError
from boltzgen.estimators.thermodynamic_integration import (
    SlopeTable,
    integrate_tables,
    integration_weights,
    slope_table,
    thermodynamic_integration,
)

Y = np.array([0.3, 1.9, 1.1, 0.2, 1.6, 0.8, 1.4, 2.1])
PRIOR_VARIANCE = 4.0
GRID = np.linspace(0, 1, 13) ** 4
"""Dense near 0, where the mean of log L changes fastest."""


def posterior(beta):
    variance = 1 / (1 / PRIOR_VARIANCE + beta * Y.size)
    return beta * Y.sum() * variance, variance


def negative_log_likelihood(theta):
    constant = 0.5 * Y.size * np.log(2 * np.pi)
    return constant + 0.5 * (Y.size * theta**2 - 2 * theta * Y.sum() + Y @ Y)


def exact_moments(beta):
    """Mean and variance of -log L, with theta = m + sqrt(v) z in it."""
    m, v = posterior(beta)
    mean = negative_log_likelihood(m) + 0.5 * Y.size * v
    variance = 0.5 * (Y.size * v) ** 2 + (Y.size * m - Y.sum()) ** 2 * v
    return mean, variance


def exact_log_z(beta):
    m, v = posterior(beta)
    rest = beta * (0.5 * Y.size * np.log(2 * np.pi) + 0.5 * Y @ Y)
    return 0.5 * np.log(v / PRIOR_VARIANCE) + 0.5 * m**2 / v - rest


def exact_table(grid, *, with_variances=True):
    mean, variance = exact_moments(grid)
    zero = np.zeros_like(grid)
    if not with_variances:
        return SlopeTable(grid=grid, means=mean, errors=zero)
    return SlopeTable(
        grid=grid, means=mean, errors=zero, variances=variance, variance_errors=zero,
        covariances=zero,
    )  # fmt: skip


def draws(rng, n, grid=GRID):
    """Exact posterior samples of -log L at each value."""
    m, v = posterior(grid)
    z = rng.normal(size=(grid.size, n))
    return list(negative_log_likelihood(m[:, None] + np.sqrt(v)[:, None] * z))


def test_both_rules_converge_at_their_order():
    errors = []
    for n in (80, 160, 320):
        found = thermodynamic_integration(exact_table(np.linspace(0, 1, n + 1)))
        exact = exact_log_z(1.0)
        errors.append([found.trapezoid.last.value - exact, found.corrected.last.value - exact])
        assert found.trapezoid.last.error == found.corrected.last.error == 0
    ratios = np.array(errors[:-1]) / np.array(errors[1:])
    assert ratios[-1] == pytest.approx([4, 16], rel=0.1)


def test_known_intervals():
    """By hand for two intervals of different lengths."""
    found = thermodynamic_integration(
        SlopeTable(
            grid=np.array([0.0, 1.0, 3.0]), means=np.array([5.0, 3.0, 2.0]),
            errors=np.array([0.1, 0.2, 0.3]), variances=np.array([4.0, 1.0, 0.5]),
            variance_errors=np.array([0.4, 0.2, 0.1]), covariances=np.array([0.01, 0.0, -0.02]),
        )
    )  # fmt: skip
    np.testing.assert_allclose(found.trapezoid.values, [0, -4, -9])
    np.testing.assert_allclose(found.trapezoid.errors[1], 0.5 * np.hypot(0.1, 0.2))
    np.testing.assert_allclose(
        found.trapezoid.errors[2], np.sqrt(0.05**2 + (1.5 * 0.2) ** 2 + 0.3**2)
    )
    np.testing.assert_allclose(found.corrected.values, [0, -4 + 3 / 12, -9 + 3 / 12 + 2 / 12])
    np.testing.assert_allclose(found.trapezoid.discretisation, [0, -3 / 12, -5 / 12])
    square = 0.25 * (0.1**2 + 0.2**2) + (0.4**2 + 0.2**2) / 144 - 2 * 0.5 / 12 * 0.01
    np.testing.assert_allclose(found.corrected.errors[1], np.sqrt(square))


@pytest.mark.parametrize("with_variances", [True, False])
def test_estimated_discretisation_is_the_true_one(with_variances):
    found = thermodynamic_integration(exact_table(GRID, with_variances=with_variances))
    exact = exact_log_z(GRID) - exact_log_z(0.0)
    rules = [found.trapezoid] + ([found.corrected] if with_variances else [])
    for rule in rules:
        truth = (rule.values - exact)[1:]
        assert 0.5 < rule.discretisation[-1] / truth[-1] < 2
        assert np.abs(rule.discretisation[1:] - truth).max() < np.abs(truth).max()
    assert (found.corrected is None) == (not with_variances)
    if with_variances:
        assert abs(found.corrected.discretisation[-1]) < 0.2 * abs(rules[0].discretisation[-1])


def test_richardson_is_exact_for_the_first_term_that_is_missed():
    """A slope of second degree for the trapezoid, of fourth for the corrected one, on any grid."""
    grid = np.array([0.0, 0.3, 0.5, 1.1, 1.2, 2.0])
    zero = np.zeros_like(grid)
    quadratic = SlopeTable(grid=grid, means=3 * grid**2 + grid, errors=zero)
    rule = thermodynamic_integration(quadratic).trapezoid
    np.testing.assert_allclose(rule.values - rule.discretisation, -(grid**3) - grid**2 / 2)
    quartic = SlopeTable(
        grid=grid, means=5 * grid**4, errors=zero, variances=-20 * grid**3 + 160,
        variance_errors=zero,
    )  # fmt: skip
    rule = thermodynamic_integration(quartic).corrected
    np.testing.assert_allclose(rule.values - rule.discretisation, -(grid**5), atol=1e-12)


def test_two_values_have_no_richardson_estimate():
    table = exact_table(GRID[[3, 4]], with_variances=False)
    rule = thermodynamic_integration(table).trapezoid
    assert rule.discretisation[0] == 0
    assert np.isnan(rule.discretisation[1])
    assert np.isfinite(rule.values).all()


def spread(found, mean):
    """z of every value but the first against the rule with exact means, (runs, G - 1)."""
    return np.stack([(f.values - mean.values)[1:] / f.errors[1:] for f in found])


def assert_standard(z):
    """Mean 0 and deviation 1 in each column, over independent runs."""
    n = len(z)
    assert np.abs(z.mean(0)).max() < 4 / n**0.5
    assert np.abs(z.std(0) - 1).max() < 4 / (2 * n) ** 0.5 + 0.03


def test_statistical_errors_are_right():
    rng = np.random.default_rng(0)
    found = [thermodynamic_integration(slope_table(GRID, draws(rng, 400))) for _ in range(400)]
    exact = thermodynamic_integration(exact_table(GRID))
    assert_standard(spread([f.trapezoid for f in found], exact.trapezoid))
    assert_standard(spread([f.corrected for f in found], exact.corrected))
    for name in ("trapezoid", "corrected"):
        rules = [getattr(f, name) for f in found]
        values = np.array([r.discretisation[-1] for r in rules])
        errors = np.array([r.discretisation_errors[-1] for r in rules])
        truth = getattr(exact, name).discretisation[-1]
        assert abs(values.mean() - truth) < 4 * values.std() / 20
        assert values.std() == pytest.approx(np.sqrt(np.mean(errors**2)), rel=0.16)


def test_the_corrected_rule_finds_the_evidence():
    """Where the trapezoid is off by many of its errors."""
    rng = np.random.default_rng(1)
    found = thermodynamic_integration(slope_table(GRID, draws(rng, 40_000)))
    exact = exact_log_z(1.0)
    assert abs(found.trapezoid.last.z(exact)) > 10
    corrected = found.corrected
    off = corrected.last.value - corrected.discretisation[-1] - exact
    assert abs(off) < 4 * corrected.last.error + 0.5 * abs(corrected.discretisation[-1])
    assert abs(off) < 0.1 * abs(found.trapezoid.last.value - exact)


def weighted(rng, n):
    """Draws that are too wide by 1.3, with their weights."""
    m, v = posterior(GRID)
    z = rng.normal(size=(GRID.size, n))
    log_w = list(0.5 * z**2 * (1 - 1.3**2) + 700.0)
    theta = m[:, None] + 1.3 * np.sqrt(v)[:, None] * z
    return list(negative_log_likelihood(theta)), log_w


def test_weighted_samples_have_the_right_errors():
    rng = np.random.default_rng(2)
    found = [thermodynamic_integration(slope_table(GRID, *weighted(rng, 600))) for _ in range(300)]
    exact = thermodynamic_integration(exact_table(GRID))
    z = spread([f.corrected for f in found], exact.corrected)
    # weighted means are biased by order 1 / N, here of some hundredths of an error
    assert np.abs(z.mean(0)).max() < 4 / 300**0.5 + 0.05
    assert np.abs(z.std(0) - 1).max() < 4 / 600**0.5 + 0.05


def test_moments_of_a_table_and_their_errors():
    """Exact mean, variance and their covariance, mu_3 / N, over repeated tables."""
    rng, n, k = np.random.default_rng(3), 200, 12
    tables = [slope_table(GRID, draws(rng, n)) for _ in range(2000)]
    mean, variance = exact_moments(GRID)
    means, variances = (
        np.array([getattr(t, name)[k] for t in tables]) for name in ("means", "variances")
    )
    assert abs(means.mean() - mean[k]) < 4 * means.std() / 2000**0.5
    assert abs(variances.mean() - variance[k]) < 4 * variances.std() / 2000**0.5
    for field, truth in (
        ("errors", means.std()), ("variance_errors", variances.std()),
        ("covariances", np.cov(means, variances)[0, 1]),
    ):  # fmt: skip
        assert np.mean([getattr(t, field)[k] for t in tables]) == pytest.approx(truth, rel=0.12)


def test_forbidden_samples_and_blocks():
    rng = np.random.default_rng(4)
    plain = draws(rng, 100)
    log_w = [np.zeros(101) for _ in GRID]
    longer = [np.append(u, np.inf) for u in plain]
    for row in log_w:
        row[-1] = -np.inf
    found, same = slope_table(GRID, longer, log_w), slope_table(GRID, plain)
    np.testing.assert_allclose(found.means, same.means)
    np.testing.assert_allclose(found.variances, same.variances)
    twice = slope_table(GRID, [np.repeat(u, 2) for u in plain], blocks=[np.arange(200) // 2] * 13)
    np.testing.assert_allclose(twice.means, same.means)
    np.testing.assert_allclose(twice.errors, same.errors)


def test_unknown_covariances_give_upper_limits():
    table = slope_table(GRID, draws(np.random.default_rng(5), 300))
    known = thermodynamic_integration(table).corrected.errors
    unknown = thermodynamic_integration(dataclasses.replace(table, covariances=None))
    assert (unknown.corrected.errors[1:] > known[1:]).all()
    for share in (-1.0, 1.0):
        covariances = share * table.errors * table.variance_errors
        extreme = thermodynamic_integration(dataclasses.replace(table, covariances=covariances))
        assert (unknown.corrected.errors >= extreme.corrected.errors * (1 - 1e-12)).all()


def test_weights_integrate_their_interpolants():
    grid, at = np.array([0.0, 0.4, 0.5, 1.1, 2.0]), np.array([0.2, 0.5, 1.7])
    cubic = 4 * grid**3 - 2 * grid
    np.testing.assert_allclose(
        integration_weights(grid, at) @ cubic, at**4 - at**2 - (0.2**4 - 0.2**2)
    )
    lines = integration_weights(grid, np.array([0.0, 0.2, 2.0]), rule="trapezoid") @ grid**2
    half = 0.5 * 0.2 * 0.08
    np.testing.assert_allclose(lines, [0, half, np.trapezoid(grid**2, grid)])


def test_tables_of_reweighted_samples():
    """Slopes b + x with weights exp(0.8 x): log Z is -(0.8 b + b^2 / 2); all samples are shared
    by the grid, so that errors of neighbours add up instead of averaging out."""
    grid, at, z = np.linspace(0, 1, 11), np.linspace(0, 1, 5), []
    for seed in range(200):
        x = np.random.default_rng(seed).normal(size=(12, 1, 200))
        w = np.broadcast_to(np.exp(0.8 * x), (12, 11, 200))
        sums = np.stack([w.sum(2), (w * (x + grid[:, None])).sum(2)], -1)
        found = integrate_tables(grid, sums, at=at)
        assert found.values[0] == found.errors[0] == 0
        z.append((found.values + 0.8 * at + at**2 / 2)[1:] / found.errors[1:])
    assert np.abs(np.mean(z, axis=0)).max() < 4 * 1.1 / 200**0.5
    # Student's t of 11 degrees of freedom has a deviation of 1.1
    assert np.std(np.array(z)[:, -1]) == pytest.approx(1.1, abs=4 / 400**0.5)
    one = sums.sum(0)
    curve = CubicSpline(grid, one[:, 1] / one[:, 0]).antiderivative()
    assert found.values[-1] == pytest.approx(-(curve(1.0) - curve(0.0)), abs=0.1 * found.errors[-1])


def test_bad_tables():
    good = exact_table(GRID)
    for change, match in (
        ({"grid": GRID[::-1].copy()}, "grid: expected two or more rising"),
        ({"means": good.means[:-1]}, r"means: expected shape \(13,\), got \(12,\)"),
        ({"errors": good.errors - 1}, "errors: expected no number below 0"),
        ({"variance_errors": None}, "variance_errors: expected together with variances"),
        ({"variances": None, "variance_errors": None}, "covariances: expected together with"),
        ({"means": good.means.astype(np.float32)}, "means: expected a float64"),
    ):
        with pytest.raises(ValueError, match=match):
            dataclasses.replace(good, **change)
    with pytest.raises(NonFiniteError, match="means: expected finite"):
        dataclasses.replace(good, means=np.full(13, np.nan))


def test_bad_samples():
    samples = draws(np.random.default_rng(0), 10)
    with pytest.raises(ValueError, match="slopes: expected 13 arrays, got 12"):
        slope_table(GRID, samples[1:])
    with pytest.raises(ValueError, match=r"log_weights\[0\]: expected shape \(10,\), got \(9,\)"):
        slope_table(GRID, samples, [np.zeros(9)] * 13)
    samples[2][4] = np.inf
    with pytest.raises(NonFiniteError, match=r"slopes\[2\]: expected finite numbers, got 1"):
        slope_table(GRID, samples)
    one = np.where(np.arange(10) == 3, 0.0, -np.inf)
    with pytest.raises(NonFiniteError, match=r"log_weights\[0\]: all weight is on one sample"):
        slope_table(GRID, samples, [one] * 13)


def test_bad_integrals():
    grid, at = np.linspace(0, 1, 5), np.array([0.0, 0.5])
    sums = np.ones((3, 5, 2))
    with pytest.raises(ValueError, match=r"sums: expected \(R >= 2, 5, 2\), got \(1, 5, 2\)"):
        integrate_tables(grid, sums[:1], at=at)
    with pytest.raises(ValueError, match="at: expected numbers in 0.0 to 1.0"):
        integrate_tables(grid, sums, at=at + 0.6)
    with pytest.raises(ValueError, match="rule: expected trapezoid or spline, got 'simpson'"):
        integration_weights(grid, at, rule="simpson")
    with pytest.raises(ValueError, match="grid: expected 4 or more rising"):
        integration_weights(grid[:3], at)
    sums[1:] = 0
    with pytest.raises(NonFiniteError, match="sums: expected finite numbers and weights"):
        integrate_tables(grid, sums, at=at)
