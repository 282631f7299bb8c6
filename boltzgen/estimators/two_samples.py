"""Are two samples of one distribution: a classifier's accuracy, and the energy distance.

Both take unweighted, independent points. Weighted samples go through `resample` first, which is
for the caller to decide; from too few effective ones come repeated points, which are dependent.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from scipy import stats
from scipy.spatial.distance import cdist

from boltzgen.checks import check_at_least, check_float64
from boltzgen.errors import NonFiniteError

_LARGEST_SEED = 2**31 - 1
_CHUNK = 4_000_000


@dataclass(frozen=True, kw_only=True)
class ClassifierTest:
    """Cross-validated accuracy of a classifier that tells two samples apart.

    Args:
        accuracy: Share of held-out points told right, over all folds: 1/2 if nothing can be told,
            (1 + total variation distance) / 2 at most.
        error: Standard deviation of the accuracies of folds over the square root of their number.
            Folds share training points, so that this is too small; there is no unbiased estimate.
        corrected_error: `error` with the correction of Nadeau and Bengio, which allows for a
            correlation of 1 / K between K folds; the one to use for intervals.
        p_value: Twice the mean over folds of the binomial probability of as many right answers, if
            each comes with probability 1/2, at most 1. Given its training points the answers of a
            fold are independent, and twice a mean of p-values is one whatever their dependence;
            answers of all folds taken as independent would reject too often. It is cautious.
        folds: Accuracy in each fold, (K,).
    """

    accuracy: float
    error: float
    corrected_error: float
    p_value: float
    folds: np.ndarray


def classifier_two_sample_test(
    x: np.ndarray,
    y: np.ndarray,
    *,
    rng: Generator,
    n_folds: int = 5,
    classifier: Any = None,  # noqa: ANN401
) -> ClassifierTest:
    """C2ST: how well a classifier, trained on other folds, tells points of x from points of y.

    Inputs are standardised by mean and deviation of both samples together. Equal points of one
    sample, as resampling leaves them, stay in one fold: a classifier that met a point in training
    would know it again, and samples of one distribution would seem to differ.

    The accuracy is that of this classifier: a low one may be its weakness, not agreement of the
    samples. A high one is proof.

    Args:
        x: Points, float64 (N, D).
        y: As many points, float64 (N, D).
        rng: The random stream: folds and the start of the classifier.
        n_folds: K.
        classifier: Any classifier of scikit-learn, which is cloned for each fold with its own
            random state; by default a perceptron with two hidden layers of max(20, 10 D) units
            which stops early.

    Raises:
        ImportError: scikit-learn is not installed.
        ValueError: The shapes differ, or there are fewer different points than folds.
        NonFiniteError: A coordinate is not finite.

    References:
        Lopez-Paz and Oquab, Revisiting classifier two-sample tests, arXiv:1610.06545.
        Nadeau and Bengio, Mach. Learn. 52, 239 (2003): the correction.
        Vovk and Wang, Biometrika 107, 791 (2020): twice the mean of p-values.
        Bengio and Grandvalet, J. Mach. Learn. Res. 5, 1089 (2004): no unbiased estimate.
    """
    try:
        import sklearn.base
        import sklearn.neural_network
    except ImportError as error:
        raise ImportError(
            "classifier_two_sample_test needs scikit-learn: pip install scikit-learn"
        ) from error
    check_at_least("n_folds", n_folds, 2)
    points, n = _standardised(x, y), len(x)
    fold = np.concatenate([_folds(name, a, n_folds, rng) for name, a in (("x", x), ("y", y))])
    labels = np.repeat([0, 1], n)
    if classifier is None:
        width = max(20, 10 * points.shape[1])
        classifier = sklearn.neural_network.MLPClassifier(
            (width, width), early_stopping=True, n_iter_no_change=20, max_iter=1000
        )
    right = np.empty(2 * n, dtype=bool)
    for k in range(n_folds):
        fitted = sklearn.base.clone(classifier)
        if "random_state" in fitted.get_params():
            fitted.set_params(random_state=int(rng.integers(_LARGEST_SEED)))
        order = rng.permutation(np.flatnonzero(fold != k))
        fitted.fit(points[order], labels[order])
        right[fold == k] = fitted.predict(points[fold == k]) == labels[fold == k]
    accuracies = np.array([right[fold == k].mean() for k in range(n_folds)])
    spread = float(accuracies.std(ddof=1))
    sizes = np.bincount(fold, minlength=n_folds)
    p_values = stats.binom.sf(np.rint(sizes * accuracies) - 1, sizes, 0.5)
    return ClassifierTest(
        accuracy=float(right.mean()),
        error=spread / n_folds**0.5,
        corrected_error=spread * (1 / n_folds + 1 / (n_folds - 1)) ** 0.5,
        p_value=float(min(2 * p_values.mean(), 1.0)),
        folds=accuracies,
    )


@dataclass(frozen=True)
class EnergyDistanceTest:
    """A permutation test of the energy distance.

    Args:
        distance: 2 E|x - y| - E|x - x'| - E|y - y'| over all pairs of standardised points, equal
            ones included, which makes it positive.
        p_value: (1 + permutations of at least this distance) / (1 + permutations): exact for
            independent points.
        null_mean: Mean over the permutations.
        null_deviation: Standard deviation over the permutations.
    """

    distance: float
    p_value: float
    null_mean: float
    null_deviation: float


def energy_distance_test(
    x: np.ndarray, y: np.ndarray, *, rng: Generator, n_permutations: int = 999
) -> EnergyDistanceTest:
    """Energy distance of two samples, with the distribution it has if labels are exchangeable.

    It is zero only between equal distributions, and needs no training; it takes memory and time of
    order (N + M)^2, and many dimensions hide a difference in few of them.

    Args:
        x: Points, float64 (N, D).
        y: Points, float64 (M, D).
        rng: The random stream of the permutations.
        n_permutations: How many.

    Raises:
        ValueError: The dimensions differ, or there are fewer than two points or no permutations.
        NonFiniteError: A coordinate is not finite.

    References:
        Szekely and Rizzo, J. Stat. Plan. Inference 143, 1249 (2013).
    """
    check_at_least("n_permutations", n_permutations, 1)
    points = _standardised(x, y, equal=False)
    distances = cdist(points, points)
    labels = np.concatenate([np.full(len(x), 1 / len(x)), np.full(len(y), -1 / len(y))])
    found = float(-labels @ distances @ labels)
    null, chunk = [], max(1, _CHUNK // labels.size)
    for start in range(0, n_permutations, chunk):
        size = min(chunk, n_permutations - start)
        shuffled = rng.permuted(np.tile(labels, (size, 1)), axis=1)
        null.append(-np.einsum("pi,pi->p", shuffled @ distances, shuffled))
    drawn = np.concatenate(null)
    # labels that give the same partition differ by rounding alone
    as_far = int((drawn >= found - 1e-12 * abs(found)).sum())
    return EnergyDistanceTest(
        distance=found,
        p_value=(1 + as_far) / (1 + n_permutations),
        null_mean=float(drawn.mean()),
        null_deviation=float(drawn.std()),
    )


def _standardised(x: np.ndarray, y: np.ndarray, *, equal: bool = True) -> np.ndarray:
    """Both samples in one array, by mean and deviation of all; a constant column becomes zero."""
    for name, points in (("x", x), ("y", y)):
        check_float64(name, points, 2)
        if len(points) < 2 or points.shape[1] < 1:
            raise ValueError(f"{name}: expected two or more points, got shape {points.shape}")
        n_bad = int((~np.isfinite(points)).sum())
        if n_bad:
            raise NonFiniteError(f"{name}: expected finite numbers, got {n_bad} that are not")
    if x.shape[1] != y.shape[1] or (equal and len(x) != len(y)):
        raise ValueError(f"y: expected points like x, {x.shape}, got {y.shape}")
    points = np.concatenate([x, y])
    centred = points - points.mean(0)
    constant = np.ptp(points, axis=0) == 0
    return np.where(constant, 0.0, centred / np.where(constant, 1.0, points.std(0)))


def _folds(name: str, points: np.ndarray, n_folds: int, rng: Generator) -> np.ndarray:
    """Number of the fold of each point, the same for equal points, (N,)."""
    different, which = np.unique(points, axis=0, return_inverse=True)
    if len(different) < n_folds:
        raise ValueError(
            f"{name}: expected at least {n_folds} different points, got {len(different)}"
        )
    return (rng.permutation(len(different)) % n_folds)[which]
