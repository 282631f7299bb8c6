"""The free field against closed forms, its own derivatives, and its own samples."""

import math

import numpy as np
import pytest
import torch

from systems.lattices.exact import FreeField, ScalarAction
from systems.lattices.geometry import forward_sum

HOPPING = [  # kappa, then log Z, mean of dS / d kappa, <M^2> / V on 8 x 8
    (0.20, 39.8791279406, -43.3391981523, 2.5),
    (0.22, 40.8874826433, -59.1984365680, 4.16666667),
    (0.24, 42.4189690872, -106.9474796907, 12.5),
]


def hopping(kappa, shape):
    return FreeField(ScalarAction.from_hopping(kappa, 0.0), shape)


@pytest.mark.parametrize(("kappa", "log_partition", "slope", "square"), HOPPING)
def test_known_values(kappa, log_partition, slope, square):
    field = hopping(kappa, (8, 8))
    np.testing.assert_allclose(field.log_partition(), log_partition, rtol=0, atol=1e-10)
    np.testing.assert_allclose(-2 * field.bond_sum(), slope, rtol=0, atol=1e-10)
    np.testing.assert_allclose(field.magnetisation_square() / 64, square, rtol=0, atol=1e-8)


@pytest.mark.parametrize("shape", [(5,), (2, 3), (4, 4), (2, 3, 4)])
def test_averages_agree_with_the_inverse_of_the_dense_matrix(shape):
    kappa, n = 0.12, math.prod(shape)
    field = hopping(kappa, shape)
    eye = torch.eye(n, dtype=torch.float64).reshape(n, *shape)
    forward = forward_sum(eye, len(shape)).reshape(n, n).numpy()
    matrix = np.eye(n) - kappa * (forward + forward.T)
    covariance = np.linalg.inv(2 * matrix)
    log_partition = 0.5 * (n * math.log(math.pi) - np.linalg.slogdet(matrix)[1])
    np.testing.assert_allclose(field.log_partition(), log_partition, rtol=1e-13)
    np.testing.assert_allclose(field.correlator().ravel(), covariance[0], atol=1e-15)
    np.testing.assert_allclose(field.mean_square(), covariance[0, 0], rtol=1e-13)
    np.testing.assert_allclose(field.bond_sum(), np.sum(covariance * forward), rtol=1e-12)
    np.testing.assert_allclose(field.magnetisation_square(), covariance.sum(), rtol=1e-12)


def test_averages_are_derivatives_of_log_z():
    shape, a, t, h = (6, 5), 1.0, 0.4, 1e-4

    def log_z(a, t):
        return FreeField(ScalarAction(a, 0.0, t), shape).log_partition()

    field = FreeField(ScalarAction(a, 0.0, t), shape)
    slope = (log_z(a, t + h) - log_z(a, t - h)) / (2 * h)
    np.testing.assert_allclose(field.bond_sum(), slope, rtol=1e-6)
    slope = (log_z(a + h, t) - log_z(a - h, t)) / (2 * h)
    np.testing.assert_allclose(-30 * field.mean_square(), slope, rtol=1e-6)
    action = a * 30 * field.mean_square() - t * field.bond_sum()
    np.testing.assert_allclose(action, field.mean_action(), rtol=1e-12)


def test_samples_have_the_exact_averages():
    field, n = hopping(0.22, (8, 6)), 20_000
    x = field.sample(n, generator=torch.Generator().manual_seed(11))
    assert x.shape == (n, 8, 6)
    assert x.dtype == torch.float64
    total = x.sum((1, 2))
    found = {
        "mean": (x[:, 2, 3], 0.0),
        "square": ((x**2).mean((1, 2)), field.mean_square()),
        "fourth": ((x**4).mean((1, 2)), field.mean_fourth()),
        "bonds": ((x * forward_sum(x, 2)).sum((1, 2)), field.bond_sum()),
        "far": (x[:, 0, 0] * x[:, 3, 2], float(field.correlator()[3, 2])),
        "M^2": (total**2, field.magnetisation_square()),
        "|M|": (total.abs(), field.magnetisation_absolute()),
    }
    scores = {
        name: ((v.mean() - exact) / (v.std() / math.sqrt(n))).item()
        for name, (v, exact) in found.items()
    }
    assert max(map(abs, scores.values())) < 4, scores


def test_the_same_generator_gives_the_same_samples():
    field = hopping(0.1, (4,))
    one, two = (field.sample(3, generator=torch.Generator().manual_seed(5)) for _ in range(2))
    torch.testing.assert_close(one, two, rtol=0, atol=0)


def test_other_actions_and_counts_are_refused():
    with pytest.raises(ValueError, match="quartic term of 0"):
        FreeField(ScalarAction(1.0, 0.1, 0.2), (4, 4))
    with pytest.raises(ValueError, match="positive stiffness"):
        hopping(0.25, (4, 4))
    with pytest.raises(ValueError, match="shape"):
        hopping(0.1, (1, 4))
    with pytest.raises(ValueError, match="n: expected"):
        hopping(0.1, (4, 4)).sample(0, generator=torch.Generator())
