import math
import sys

import numpy as np
import pytest
import torch
from scipy.stats import lognorm, multivariate_normal

from systems.posteriors import GaussianProcess

F64 = torch.float64


def data(n, n_inputs, generator):
    x = torch.randn(n, n_inputs, generator=generator, dtype=F64)
    y = x[:, 0].sin() + 0.3 * torch.randn(n, generator=generator, dtype=F64)
    return x, y


def covariance(x, length, amplitude, noise, jitter):
    scaled = x / length
    square = ((scaled[:, None] - scaled) ** 2).sum(2)
    kernel = np.exp(-square / 2) + jitter * np.eye(len(x))
    return amplitude**2 * kernel + noise**2 * np.eye(len(x))


@pytest.mark.parametrize("n_inputs", [1, 3])
def test_the_likelihood_is_that_of_a_normal_vector(n_inputs, generator):
    x, y = data(15, n_inputs, generator)
    target = GaussianProcess(x, y, jitter=1e-4)
    lengths = [f"length[{i}]" for i in range(n_inputs)]
    assert target.space.labels == (*lengths, "amplitude", "noise")
    u = torch.randn(6, n_inputs + 2, generator=generator, dtype=F64)
    for row, found in zip(u.exp().numpy(), target.log_likelihood(u).tolist(), strict=True):
        matrix = covariance(x.numpy(), row[:-2], row[-2], row[-1], 1e-4)
        expected = multivariate_normal(np.zeros(15), matrix).logpdf(y.numpy())
        assert found == pytest.approx(expected, rel=1e-9)
    assert GaussianProcess(x[:, 0], y).event_shape == (3,)


def test_the_prior_is_that_of_the_docstring(generator):
    x, y = data(5, 2, generator)
    target = GaussianProcess(x, y)
    u = torch.randn(8, 4, generator=generator, dtype=F64)
    normal = torch.distributions.Normal(torch.tensor([0.0, 0, 0, -1], dtype=F64), 1.0)
    torch.testing.assert_close(target.log_prior(u), normal.log_prob(u).sum(1))
    total = lognorm(1.0, 0, math.exp(-1)).logpdf(np.exp(0.4)) + 0.4
    assert total == pytest.approx(normal.log_prob(torch.tensor(0.4))[3].item())
    drawn = target.sample_prior(20_000, generator=generator)
    z = (drawn.mean(0) - normal.mean) * math.sqrt(20_000)
    assert bool((z.abs() < 4).all())


def test_draws_from_the_prior_give_the_evidence_of_a_grid(generator):
    target = GaussianProcess(*data(8, 1, generator))
    u, n = torch.linspace(-5, 5, 41, dtype=F64), 20_000
    cube = torch.cartesian_prod(u, u, u - 1)
    expected = torch.cat([-target.energy(p, 1.0) for p in cube.split(10_000)]).exp().sum() / 4**3
    likelihood = target.log_likelihood(target.sample_prior(n, generator=generator)).exp()
    assert abs(likelihood.mean() - expected) < 4 * likelihood.std() / math.sqrt(n)


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_extreme_hyperparameters_have_a_finite_likelihood_or_none(dtype, generator):
    x, y = data(10, 1, generator)
    target = GaussianProcess(torch.cat([x, x]), torch.cat([y, -y]))
    ends = torch.tensor([-1e12, -710.0, -300.0, -80.0, -8.0, 0.0, 8.0, 80.0, 300.0, 710.0, 1e12])
    u = torch.cartesian_prod(ends, ends, ends).to(dtype).requires_grad_()
    energy = target.energy(u, 1.0)
    assert not energy.isnan().any()
    assert not (energy == -math.inf).any()
    moderate = (u.detach().abs() <= 80).all(1)
    (gradient,) = torch.autograd.grad(energy[energy.isfinite()].sum(), u)
    assert bool(gradient[energy.isfinite() & moderate].isfinite().all())
    # Moderate numbers are never outside, for the jitter keeps the matrix positive.
    assert bool(energy[(u.detach().abs() <= 8).all(1)].isfinite().all())


def test_a_covariance_that_cannot_be_factored_has_no_likelihood(generator):
    x, y = data(10, 1, generator)
    target = GaussianProcess(torch.cat([x, x]), torch.cat([y, -y]), jitter=1e-300)
    u = torch.tensor([[3.0, 0.0, -40.0], [0.0, 0.0, 0.0]], dtype=F64, requires_grad=True)
    energy = target.energy(u, 1.0)
    assert energy.isfinite().tolist() == [False, True]
    (gradient,) = torch.autograd.grad(energy.sum(), u)
    assert bool(gradient.isfinite().all())
    with pytest.raises(ValueError, match="^x: expected hyperparameters at which the covariance"):
        target.simulate(u.detach(), generator=generator)


def test_both_precisions_agree_where_the_matrix_is_nearly_singular(generator):
    target = GaussianProcess(*data(30, 1, generator))
    u = torch.tensor([[2.0, 1.0, -5.0], [4.0, 3.0, -3.0]], dtype=F64)
    single = target.log_likelihood(u.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), target.log_likelihood(u), rtol=1e-5, atol=0)


def test_simulated_outputs_have_the_covariance(generator):
    x, y = data(6, 1, generator)
    target, n = GaussianProcess(x, y), 50_000
    u = torch.tensor([[0.2, 0.4, -0.7]], dtype=F64)
    drawn = target.simulate(u.expand(n, -1), generator=generator)
    assert drawn.shape == (n, 6)
    expected = torch.from_numpy(covariance(x.numpy(), *u.exp()[0].tolist(), 1e-6))
    products = drawn[:, :, None] * drawn[:, None]
    z = (products.mean(0) - expected) / products.std(0) * math.sqrt(n)
    assert bool((z.abs() < 4.5).all())


def test_the_diabetes_data():
    datasets = pytest.importorskip("sklearn.datasets")
    raw = datasets.load_diabetes()
    target = GaussianProcess.diabetes()
    assert target.event_shape == (3,)
    assert target.x.shape == (60, 1)
    for found, column in ((target.x[:, 0], raw.data[:60, 2]), (target.y, raw.target[:60])):
        torch.testing.assert_close(found, torch.tensor((column - column.mean()) / column.std()))
    both = GaussianProcess.diabetes(("bp", "bmi"), n=20)
    assert both.event_shape == (4,)
    with pytest.raises(ValueError, match="^features: expected some of age, sex, bmi"):
        GaussianProcess.diabetes(("height",))
    with pytest.raises(ValueError, match="^features: expected some of"):
        GaussianProcess.diabetes(())
    for bad in (1, 443):
        with pytest.raises(ValueError, match="^n: expected between 2 and 442"):
            GaussianProcess.diabetes(n=bad)


def test_without_scikit_learn_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r"pip install 'boltzgen-flows\[posteriors\]'"):
        GaussianProcess.diabetes()


def test_bad_arguments_are_named(generator):
    x, y = data(5, 1, generator)
    with pytest.raises(ValueError, match=r"^x: expected finite numbers \(N, D\)"):
        GaussianProcess(x[..., None], y)
    with pytest.raises(ValueError, match=r"^x: expected finite numbers \(N, D\)"):
        GaussianProcess(x / 0, y)
    with pytest.raises(ValueError, match="^y: expected 5 finite numbers"):
        GaussianProcess(x, y[:3])
    with pytest.raises(ValueError, match="^y: expected 5 finite numbers"):
        GaussianProcess(x, y / 0)
    with pytest.raises(ValueError, match="^jitter: expected a finite number above 0"):
        GaussianProcess(x, y, jitter=0.0)
