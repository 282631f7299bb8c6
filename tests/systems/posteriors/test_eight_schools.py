import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import halfcauchy, multivariate_normal

from systems.posteriors import EightSchools

F64 = torch.float64
FORMS = {"centred": EightSchools(), "not centred": EightSchools(centred=False)}
Y = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
SIGMA = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
# Reference posterior of posteriordb, "eight_schools-eight_schools_noncentered": means of mu, tau
# and theta, and their standard errors.
PUBLISHED = np.array(
    [4.4105, 3.6021, 6.1505, 4.9396, 3.9059, 4.7960, 3.6144, 4.0511, 6.3172, 4.8840]
)
ERRORS = np.array([0.033, 0.0319, 0.0557, 0.0462, 0.0542, 0.0475, 0.0461, 0.0485, 0.0499, 0.0543])

along_both_forms = pytest.mark.parametrize("target", FORMS.values(), ids=FORMS)


def given_tau(tau):
    """log p(y | tau) and mean and variance of (mu, theta) given y, by matrices of size 8."""
    covariance = np.diag(SIGMA**2 + tau**2) + 25.0
    log_data = multivariate_normal(np.zeros(8), covariance).logpdf(Y)
    joint = np.block(
        [[25.0, np.full((1, 8), 25.0)], [np.full((8, 1), 25.0), tau**2 * np.eye(8) + 25.0]]
    )
    gain = np.linalg.solve(covariance, joint[:, 1:].T).T
    return log_data, gain @ Y, np.diag(joint - gain @ joint[1:])


def integral(function):
    def integrand(u):
        tau = math.exp(u)
        log_data, mean, variance = given_tau(tau)
        return (
            math.exp(log_data + 30)
            * halfcauchy(0, 5).pdf(tau)
            * tau
            * function(tau, mean, variance)
        )

    return quad(integrand, -30, 15, epsabs=0, epsrel=1e-11, limit=500, points=[0, 1, 2, 3])[0]


def test_the_evidence_is_that_of_adaptive_quadrature_with_matrices():
    expected = math.log(integral(lambda tau, mean, variance: 1.0)) - 30
    for target in FORMS.values():
        assert target.log_evidence() == pytest.approx(expected, abs=1e-10)


def test_the_moments_are_those_of_adaptive_quadrature_with_matrices():
    moments, total = EightSchools().moments(), integral(lambda tau, mean, variance: 1.0)
    assert moments.labels == EightSchools().space.labels
    for i, j in ((0, 0), (2, 1), (8, 7), (9, 8)):
        mean = integral(lambda tau, mean, variance, j=j: mean[j]) / total
        square = integral(lambda tau, mean, variance, j=j: mean[j] ** 2 + variance[j]) / total
        assert moments.means[i] == pytest.approx(mean, abs=1e-9)
        assert moments.deviations[i] == pytest.approx(math.sqrt(square - mean**2), abs=1e-9)
    mean = integral(lambda tau, mean, variance: tau) / total
    square = integral(lambda tau, mean, variance: tau**2) / total
    assert moments.means[1] == pytest.approx(mean, abs=1e-9)
    assert moments.deviations[1] == pytest.approx(math.sqrt(square - mean**2), abs=1e-9)


def test_the_moments_are_those_of_posteriordb():
    z = (EightSchools().moments().means - PUBLISHED) / ERRORS
    assert np.abs(z).max() < 4


def test_both_forms_give_the_same_numbers(generator):
    first, second = FORMS.values()
    for beta in (0.1, 1.0, 2.0):
        assert first.log_evidence(beta) == second.log_evidence(beta)
        np.testing.assert_array_equal(first.moments(beta).means, second.moments(beta).means)
    x = second.sample_prior(50, generator=generator)
    moved = torch.cat([x[:, :2], second.effects(x)], 1)
    torch.testing.assert_close(first.effects(moved), second.effects(x))
    torch.testing.assert_close(first.log_likelihood(moved), second.log_likelihood(x))
    # theta = mu + tau eta has the volume tau^8.
    torch.testing.assert_close(first.energy(moved, 0.7), second.energy(x, 0.7) + 8 * x[:, 1])


@along_both_forms
@pytest.mark.parametrize("beta", [0.3, 1.0])
def test_the_evidence_is_that_of_draws_from_the_prior(target, beta, generator):
    n = 200_000
    log_likelihood = target.log_likelihood(target.sample_prior(n, generator=generator))
    weight = (beta * log_likelihood - target.log_evidence(beta)).exp()
    assert abs(weight.mean().item() - 1) < 4 * weight.std().item() / math.sqrt(n)


@along_both_forms
@pytest.mark.parametrize(("beta", "other"), [(0.5, 0.6), (1.0, 0.9), (1.0, 1.2), (2.0, 1.8)])
def test_exact_samples_energies_and_evidence_agree(target, beta, other, along_the_path, generator):
    along_the_path(target, beta, other, n=20_000, generator=generator)


@along_both_forms
@pytest.mark.parametrize("beta", [0.5, 1.0])
def test_exact_samples_have_the_moments(target, beta, generator):
    n = 40_000
    x = target.sample_exact(beta, n, generator=generator)
    drawn = torch.cat([x[:, :1], x[:, 1:2].exp(), target.effects(x)], 1).numpy()
    moments = target.moments(beta)
    z = (drawn.mean(0) - moments.means) / moments.deviations * math.sqrt(n)
    assert np.abs(z).max() < 4
    square = (drawn - moments.means) ** 2
    z = (square.mean(0) - moments.deviations**2) / square.std(0) * math.sqrt(n)
    assert np.abs(z).max() < 4


@along_both_forms
def test_exact_samples_have_a_virial(target, generator):
    """The mean of (x - a) dE/dx is 1 in every component: samples have the density of the energy."""
    n = 40_000
    x = target.sample_exact(1.0, n, generator=generator).requires_grad_()
    (gradient,) = torch.autograd.grad(target.energy(x, 1.0).sum(), x)
    virial = (x.detach() - x.detach().mean(0)) * gradient
    z = (virial.mean(0) - 1) / virial.std(0) * math.sqrt(n)
    assert bool((z.abs() < 4).all())


@along_both_forms
def test_the_prior_has_quantiles_of_its_parts(target, generator):
    n = 20_000
    x = target.sample_prior(n, generator=generator)
    mu, tau = x[:, 0] / 5, x[:, 1].exp()
    eta = ((target.effects(x) - x[:, :1]) / tau[:, None]).flatten()
    shares = (torch.special.ndtr(mu), 2 / math.pi * (tau / 5).atan(), torch.special.ndtr(eta))
    for share in shares:
        counts = torch.histogram(share, 20, range=(0.0, 1.0))[0]
        expected = len(share) / 20
        statistic = ((counts - expected) ** 2 / expected).sum().item()
        assert abs(statistic - 19) < 4 * math.sqrt(2 * 19)


@along_both_forms
def test_simulated_data_scatter_by_the_standard_errors(target, generator):
    x = target.sample_exact(1.0, 1, generator=generator).expand(20_000, -1)
    y = target.simulate(x, generator=generator)
    scaled = (y - target.effects(x)) / torch.from_numpy(SIGMA)
    assert y.shape == (20_000, 8)
    assert bool((scaled.mean(0).abs() * math.sqrt(20_000) < 4).all())
    assert bool(((scaled.square().mean(0) - 1).abs() * math.sqrt(10_000) < 4).all())


def test_other_data_and_single_precision(generator):
    target = EightSchools((1.0, -2.0), (0.5, 2.0), centred=False)
    assert target.space.labels == ("mu", "tau", "eta[0]", "eta[1]")
    assert target.moments().labels == ("mu", "tau", "theta[0]", "theta[1]")
    x = target.sample_exact(1.0, 50, generator=generator)
    torch.testing.assert_close(
        target.energy(x.float(), 1.0).double(), target.energy(x, 1.0), rtol=1e-5, atol=1e-5
    )


@along_both_forms
def test_where_tau_leaves_the_numbers_the_energy_is_infinite(target):
    x = torch.zeros(4, 10)
    x[:, 1] = torch.tensor([-1e12, -1e3, 1e3, 1e12])
    for beta in (0.0, 1.0):
        leaf = x.clone().requires_grad_()
        energy = target.energy(leaf, beta)
        assert bool((energy == math.inf).all())
        (gradient,) = torch.autograd.grad(energy.sum(), leaf)
        assert bool(gradient.isfinite().all())


def test_bad_arguments_are_named(generator):
    with pytest.raises(ValueError, match="^sigma: expected as many numbers as y, 2, got 1"):
        EightSchools((1.0, 2.0), (1.0,))
    with pytest.raises(ValueError, match="^sigma: expected as many numbers as y, 0, got 0"):
        EightSchools((), ())
    with pytest.raises(ValueError, match="^sigma: expected a finite number above 0, got 0"):
        EightSchools((1.0,), (0.0,))
    target = EightSchools()
    for call in (target.log_evidence, target.moments):
        with pytest.raises(ValueError, match="^beta: expected a finite number above 0, got 0"):
            call(0.0)
    with pytest.raises(ValueError, match="^beta: expected a finite number above 0, got -1"):
        target.sample_exact(-1.0, 3, generator=generator)
