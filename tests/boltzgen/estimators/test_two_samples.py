import builtins

import numpy as np
import pytest
from scipy import stats

from boltzgen.errors import NonFiniteError
from boltzgen.estimators.two_samples import classifier_two_sample_test, energy_distance_test


def gaussians(rng, *, n=500, n_dims=2, shift=0.0):
    x, y = rng.normal(size=(2, n, n_dims))
    y[:, 0] += shift
    return x, y


def logistic():
    return pytest.importorskip("sklearn.linear_model").LogisticRegression()


def test_nothing_is_told_apart_in_one_distribution():
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(0)
    found = [classifier_two_sample_test(*gaussians(rng), rng=rng) for _ in range(4)]
    for each in found:
        assert abs(each.accuracy - 0.5) < 4 * 0.025
        assert each.p_value > 2 * stats.norm.sf(4)
        assert each.accuracy == pytest.approx(each.folds.mean())
        assert each.folds.shape == (5,)


@pytest.mark.parametrize("shift", [0.5, 1.0, 2.0])
def test_shifted_gaussians_are_told_apart_as_well_as_can_be(shift):
    """Bayes' accuracy is Phi(d / 2). No classifier is above it but by chance; that of a linear one
    trained on 1600 points comes within 0.005 and the perceptron's within 0.03."""
    linear, rng = logistic(), np.random.default_rng(1)
    exact = stats.norm.cdf(shift / 2)
    x, y = gaussians(rng, n=1000, shift=shift)
    error = np.sqrt(exact * (1 - exact) / 2000)
    for classifier, tolerance in ((linear, 0.005), (None, 0.03)):
        found = classifier_two_sample_test(x, y, rng=rng, classifier=classifier)
        assert -4 * error - tolerance < found.accuracy - exact < 4 * error
        assert found.p_value < 1e-3


def test_the_perceptron_sees_what_a_line_does_not():
    linear, rng = logistic(), np.random.default_rng(2)
    x, y = gaussians(rng, n=1000)
    y *= 2.0
    assert classifier_two_sample_test(x, y, rng=rng, classifier=linear).accuracy < 0.55
    # |y|^2 < 8 log(4) / 3 is where the narrow one is denser
    edge = 8 * np.log(4) / 3
    exact = 0.5 * (stats.chi2.cdf(edge, 2) + stats.chi2.sf(edge / 4, 2))
    found = classifier_two_sample_test(x, y, rng=rng)
    assert abs(found.accuracy - exact) < 4 * np.sqrt(exact * (1 - exact) / 2000) + 0.03


def test_errors_over_many_samples():
    """The accuracy scatters more than its naive error says, and about as the corrected one does;
    p-values are cautious."""
    linear, rng = logistic(), np.random.default_rng(3)
    found = [
        classifier_two_sample_test(*gaussians(rng, n=100), rng=rng, classifier=linear)
        for _ in range(250)
    ]
    spread = np.std([f.accuracy for f in found])
    assert spread > 1.2 * np.sqrt(np.mean([f.error**2 for f in found]))
    assert 0.75 < spread / np.sqrt(np.mean([f.corrected_error**2 for f in found])) < 1.25
    assert np.mean([f.p_value < 0.05 for f in found]) < 0.05


def test_repeated_points_are_not_recognised():
    """A nearest neighbour knows a point again; of equal points none is in another fold."""
    neighbours = pytest.importorskip("sklearn.neighbors").KNeighborsClassifier(1)
    rng = np.random.default_rng(4)
    accuracies = []
    for _ in range(20):
        x, y = gaussians(rng, n=300)
        repeated = x[np.arange(300) % 150]
        found = classifier_two_sample_test(repeated, y, rng=rng, classifier=neighbours)
        accuracies.append(found.accuracy)
    error = np.std(accuracies, ddof=1) / np.sqrt(20)
    assert abs(np.mean(accuracies) - 0.5) < 4 * error + 0.02


def test_scales_and_constant_columns_do_not_matter():
    linear = logistic()
    x, y = gaussians(np.random.default_rng(5), n=200, shift=1.0)
    runs = [
        classifier_two_sample_test(a, b, rng=np.random.default_rng(6), classifier=linear).accuracy
        for a, b in ((x, y), (x * 1e6 + 3, y * 1e6 + 3))
    ]
    assert runs[0] == runs[1]
    wide = [np.column_stack([a, np.full(200, 7.0)]) for a in (x, y)]
    found = classifier_two_sample_test(*wide, rng=np.random.default_rng(6), classifier=linear)
    assert found.accuracy == pytest.approx(runs[0], abs=0.02)


def test_streams_repeat():
    pytest.importorskip("sklearn")
    x, y = gaussians(np.random.default_rng(7), n=100, shift=1.0)
    runs = [classifier_two_sample_test(x, y, rng=np.random.default_rng(8)) for _ in range(2)]
    np.testing.assert_array_equal(runs[0].folds, runs[1].folds)


def test_energy_distance_is_that_of_gaussians():
    """E|N(mu, s^2)| in closed form; points are standardised by the pooled deviation."""
    rng, shift, n = np.random.default_rng(9), 1.5, 1500
    x, y = gaussians(rng, n=n, n_dims=1, shift=shift)
    found = energy_distance_test(x, y, rng=rng, n_permutations=99)
    pooled = np.sqrt(1 + shift**2 / 4)

    def mean_size(mu):
        s = np.sqrt(2)
        return s * np.sqrt(2 / np.pi) * np.exp(-((mu / s) ** 2) / 2) + mu * (
            1 - 2 * stats.norm.cdf(-mu / s)
        )

    exact = 2 * (mean_size(shift) - mean_size(0.0)) / pooled
    # pairs of a point with itself count as zero, 2 / n of E|x - x'|
    exact += 2 * mean_size(0.0) / n / pooled
    assert found.distance == pytest.approx(exact, rel=0.1)
    assert found.p_value == 0.01


def test_permutation_p_values_are_uniform():
    rng, n_runs = np.random.default_rng(10), 1000
    p_values = np.array([
        energy_distance_test(
            rng.normal(size=(20, 2)), rng.normal(size=(30, 2)), rng=rng, n_permutations=99
        ).p_value
        for _ in range(n_runs)
    ])  # fmt: skip
    for level in (0.05, 0.2, 0.5):
        error = np.sqrt(level * (1 - level) / n_runs)
        assert abs((p_values <= level).mean() - level) < 4 * error


def test_energy_distance_sees_a_width():
    rng = np.random.default_rng(11)
    x, y = gaussians(rng, n=400)
    found = energy_distance_test(x, 1.5 * y, rng=rng)
    assert found.p_value == 0.001
    assert found.distance > found.null_mean + 6 * found.null_deviation


def test_missing_scikit_learn_gives_a_hint(monkeypatch):
    original = builtins.__import__

    def without(name, *arguments, **options):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return original(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    rng = np.random.default_rng(0)
    with pytest.raises(ImportError, match="needs scikit-learn: pip install scikit-learn"):
        classifier_two_sample_test(*gaussians(rng), rng=rng)


def test_bad_arguments():
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(0)
    x, y = gaussians(rng, n=20)
    with pytest.raises(ValueError, match=r"y: expected points like x, \(20, 2\), got \(19, 2\)"):
        classifier_two_sample_test(x, y[1:], rng=rng)
    with pytest.raises(ValueError, match=r"y: expected points like x, \(20, 2\), got \(20, 1\)"):
        energy_distance_test(x, y[:, :1], rng=rng)
    with pytest.raises(ValueError, match="x: expected at least 5 different points, got 1"):
        classifier_two_sample_test(np.zeros((20, 2)), y, rng=rng)
    with pytest.raises(ValueError, match="n_folds: expected an integer of at least 2"):
        classifier_two_sample_test(x, y, rng=rng, n_folds=1)
    with pytest.raises(ValueError, match="n_permutations"):
        energy_distance_test(x, y, rng=rng, n_permutations=0)
    with pytest.raises(ValueError, match="x: expected two or more points"):
        energy_distance_test(x[:1], y, rng=rng)
    y[3, 0] = np.inf
    with pytest.raises(NonFiniteError, match="y: expected finite numbers, got 1"):
        energy_distance_test(x, y, rng=rng)
