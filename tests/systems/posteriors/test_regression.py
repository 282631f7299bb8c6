import math
import sys

import pytest
import torch

from systems.posteriors import LogisticRegression

F64 = torch.float64


def small(generator, width=1.5):
    x = torch.randn(12, 2, generator=generator, dtype=F64)
    t = torch.tensor([0, 1, 1, 0, 1, 0, 1, 1, 0, 1, 1, 0])
    return x, t, LogisticRegression(x, t, width=width)


def test_the_likelihood_is_a_product_of_bernoulli_probabilities(generator):
    x, t, target = small(generator)
    assert target.space.labels == ("intercept", "weights[0]", "weights[1]")
    w = 2 * torch.randn(7, 3, generator=generator, dtype=F64)
    logits = w[:, :1] + w[:, 1:] @ x.T
    torch.testing.assert_close(target.logits(w), logits)
    expected = torch.distributions.Bernoulli(logits=logits).log_prob(t.double()).sum(1)
    torch.testing.assert_close(target.log_likelihood(w), expected)
    prior = torch.distributions.Normal(0.0, 1.5).log_prob(w).sum(1)
    torch.testing.assert_close(target.log_prior(w), prior)
    torch.testing.assert_close(target.energy(w, 0.3), -0.3 * expected - prior)


def test_the_gradient_is_that_of_the_formula(generator):
    x, t, target = small(generator)
    w = torch.randn(5, 3, generator=generator, dtype=F64).requires_grad_()
    (found,) = torch.autograd.grad(target.energy(w, 1.0).sum(), w)
    design = torch.cat([torch.ones(12, 1, dtype=F64), x], 1)
    expected = (target.logits(w).sigmoid() - t) @ design + w / 1.5**2
    torch.testing.assert_close(found, expected.detach())


def test_draws_from_the_prior_give_the_evidence_of_a_grid(generator):
    _, _, target = small(generator, width=1.0)
    u = torch.linspace(-7, 7, 71, dtype=F64)
    cube = torch.cartesian_prod(u, u, u)
    n = 50_000
    likelihood = target.log_likelihood(target.sample_prior(n, generator=generator)).exp()
    for beta in (0.5, 1.0):
        expected = (-target.energy(cube, beta)).exp().sum() * 0.2**3
        weight = likelihood**beta
        assert abs(weight.mean() - expected) < 4 * weight.std() / math.sqrt(n)


def test_simulated_labels_have_their_probabilities(generator):
    _, _, target = small(generator)
    w, n = torch.tensor([[0.3, -1.0, 0.5]], dtype=F64), 20_000
    labels = target.simulate(w.expand(n, -1), generator=generator)
    assert labels.shape == (n, 12)
    assert set(labels.unique().tolist()) == {0.0, 1.0}
    p = target.logits(w)[0].sigmoid()
    z = (labels.mean(0) - p) / (p * (1 - p) / n).sqrt()
    assert bool((z.abs() < 4).all())


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_far_out_nothing_overflows(dtype, generator):
    _, _, target = small(generator)
    w = torch.tensor([[1e4, -1e4, 1e4], [1e12, 1e12, 1e12]], dtype=dtype, requires_grad=True)
    energy = target.energy(w, 1.0)
    (gradient,) = torch.autograd.grad(energy.sum(), w)
    assert bool(energy.isfinite().all())
    assert bool(gradient.isfinite().all())


def test_the_breast_cancer_data(generator):
    datasets = pytest.importorskip("sklearn.datasets")
    data, labels = datasets.load_breast_cancer(return_X_y=True)
    target = LogisticRegression.breast_cancer(width=2.0)
    assert target.event_shape == (31,)
    scaled = torch.tensor((data - data.mean(0)) / data.std(0))
    w = 0.3 * torch.randn(4, 31, generator=generator, dtype=F64)
    expected = torch.distributions.Bernoulli(logits=w[:, :1] + w[:, 1:] @ scaled.T)
    log_likelihood = expected.log_prob(torch.tensor(labels).double()).sum(1)
    torch.testing.assert_close(target.log_likelihood(w), log_likelihood)
    assert target.simulate(w, generator=generator).shape == (4, 569)
    torch.testing.assert_close(
        target.energy(w.float(), 1.0).double(), target.energy(w, 1.0), rtol=1e-5, atol=1e-3
    )


def test_without_scikit_learn_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r"pip install 'boltzgen-flows\[posteriors\]'"):
        LogisticRegression.breast_cancer()


def test_bad_arguments_are_named(generator):
    x, t, _ = small(generator)
    with pytest.raises(ValueError, match=r"^x: expected finite numbers \(N, D\)"):
        LogisticRegression(x[:, 0], t)
    with pytest.raises(ValueError, match=r"^x: expected finite numbers \(N, D\)"):
        LogisticRegression(x / 0, t)
    with pytest.raises(ValueError, match="^t: expected 12 labels of 0 or 1"):
        LogisticRegression(x, t[:5])
    with pytest.raises(ValueError, match="^t: expected 12 labels of 0 or 1"):
        LogisticRegression(x, 2 * t)
    with pytest.raises(ValueError, match="^width: expected a finite number above 0"):
        LogisticRegression(x, t, width=0.0)
