import math

import pytest
import torch

from systems.posteriors import (
    Interval,
    Parameter,
    Positive,
    Posterior,
    Real,
    lognormal_log_density,
    normal_log_density,
)

F64 = torch.float64


def counts(values):
    """Four counts of a Poisson process that sum to ten, without the factorials."""
    rate = values["rate"]
    return 10 * rate.log() - 4 * rate


def poisson():
    return Posterior(counts, lambda v: -v["rate"], [Parameter("rate", support=Positive())])


def spread(values, y):
    return normal_log_density(y, values["mu"][:, None], 1.0).sum(1) - values["tau"] * y[:, 0] ** 2


def spread_prior(values):
    tau = lognormal_log_density(values["tau"], 0.0, 1.0)
    return normal_log_density(values["mu"], 0.0, 2.0) + tau


def draw_prior(n, generator):
    z = torch.randn(n, 2, generator=generator, dtype=F64)
    return {"mu": 2 * z[:, 0], "tau": z[:, 1].exp()}


def draw_data(values, generator):
    mu = values["mu"]
    return mu[:, None] + torch.randn(len(mu), 3, generator=generator, dtype=F64)


PARAMETERS = [Parameter("mu"), Parameter("tau", support=Positive())]


def amortised(**options):
    options = {"sample_prior": draw_prior, "simulate": draw_data, **options}
    return Posterior(spread, spread_prior, PARAMETERS, observed=("y0", "y1", "y2"), **options)


def batch(n, n_controls, generator):
    x = torch.randn(n, 2, generator=generator, dtype=F64)
    return x, 0.2 + torch.rand(n, n_controls, generator=generator, dtype=F64)


def half_forbidden():
    """Uniform prior on (-1, 1), likelihood 0 below 0 and x above."""

    def log_likelihood(values):
        x = values["x"]
        return torch.where(x > 0, torch.where(x > 0, x, 1.0).log(), -torch.inf)

    def log_prior(values):
        return torch.full_like(values["x"], -math.log(2))

    return Posterior(log_likelihood, log_prior, [Parameter("x", support=Interval(-1.0, 1.0))])


def test_the_energy_is_that_worked_out_by_hand():
    target, u = poisson(), torch.tensor([[-0.3], [0.0], [1.2]], dtype=F64)
    assert target.event_shape == (1,)
    assert target.control_names == ("beta",)
    for beta in (0.0, 0.7, 1.0):
        rate = u[:, 0].exp()
        expected = -beta * (10 * u[:, 0] - 4 * rate) + rate - u[:, 0]
        torch.testing.assert_close(target.energy(u, beta), expected)
        torch.testing.assert_close(target.energy(u, torch.full((3,), beta)), expected)
        torch.testing.assert_close(target.energy(u, torch.full((3, 1), beta)), expected)
    torch.testing.assert_close(target.log_likelihood(u), 10 * u[:, 0] - 4 * rate)
    torch.testing.assert_close(target.log_prior(u), u[:, 0] - rate)
    torch.testing.assert_close(target.denergy_dc(u, 0.5), (4 * rate - 10 * u[:, 0])[:, None])


def test_the_evidence_is_that_of_the_conjugate_prior():
    u = torch.linspace(-12, 5, 20001, dtype=F64)[:, None]
    for beta in (0.0, 0.4, 1.0):
        total = (-poisson().energy(u, beta)).logsumexp(0).item() + math.log(17 / 20000)
        shape, rate = 10 * beta + 1, 4 * beta + 1
        expected = math.lgamma(shape) - shape * math.log(rate)
        # The lower limit cuts off exp(-12 shape) at most.
        assert total == pytest.approx(expected, abs=1e-5)


def test_where_the_likelihood_is_zero_only_the_prior_is_left():
    target = half_forbidden()
    u = torch.tensor([[-1.0], [1.0]], dtype=F64)
    energy, slope = target.energy_and_denergy_dc(u, 0.0)
    torch.testing.assert_close(energy, -target.log_prior(u))
    assert slope[0].item() == math.inf
    assert slope[1].item() == pytest.approx(-math.log(math.tanh(0.5)))
    energy, slope = target.energy_and_denergy_dc(u, torch.tensor([0.5, 0.5]))
    assert energy[0].item() == slope[0].item() == math.inf
    assert bool(energy[1].isfinite())
    assert torch.equal(target.energy(u, 0.5), energy)
    u.requires_grad_()
    (gradient,) = torch.autograd.grad(target.energy(u, 0.5).sum(), u)
    assert bool(gradient.isfinite().all())


def test_where_the_prior_is_zero_the_energy_is_infinite():
    target = Posterior(
        lambda v: v["x"], lambda v: torch.where(v["x"] > 0, -v["x"], -torch.inf), [Parameter("x")]
    )
    x = torch.tensor([[-1.0], [1.0]])
    for beta in (0.0, 1.0):
        energy, slope = target.energy_and_denergy_dc(x, beta)
        assert energy[0].item() == math.inf
        assert bool(energy[1].isfinite())
        assert bool(slope.isfinite().all())


def test_the_derivatives_in_beta_and_every_y(generator):
    target = amortised()
    x, c = batch(6, 4, generator)
    assert target.control_names == ("beta", "y0", "y1", "y2")
    found = target.denergy_dc(x, c)
    leaf = c.clone().requires_grad_()
    (expected,) = torch.autograd.grad(target.energy(x, leaf).sum(), leaf)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found[:, 0], -target.log_likelihood(x, c[:, 1:]))
    for j in range(4):
        step = torch.zeros_like(c)
        step[:, j] = 1e-5
        difference = (target.energy(x, c + step) - target.energy(x, c - step)) / 2e-5
        torch.testing.assert_close(found[:, j], difference, rtol=1e-6, atol=1e-6)


def test_energy_and_derivatives_together_carry_the_gradients_of_the_energy(generator):
    target = amortised()
    x, c = (value.requires_grad_() for value in batch(6, 4, generator))
    energy, slopes = target.energy_and_denergy_dc(x, c)
    torch.testing.assert_close(energy, target.energy(x, c))
    torch.testing.assert_close(slopes, target.denergy_dc(x, c))
    found = torch.autograd.grad(energy.sum(), (x, c), retain_graph=True)
    expected = torch.autograd.grad(target.energy(x, c).sum(), (x, c))
    torch.testing.assert_close(found, expected)
    (of_slope,) = torch.autograd.grad(slopes[:, 0].sum(), x)
    (likelihood,) = torch.autograd.grad(target.log_likelihood(x, c[:, 1:]).sum(), x)
    torch.testing.assert_close(of_slope, -likelihood)


def test_there_is_no_graph_where_none_is_asked_for(generator):
    x, c = batch(3, 4, generator)
    for value in amortised().energy_and_denergy_dc(x, c):
        assert not value.requires_grad
    x.requires_grad_()
    with torch.no_grad():
        for value in amortised().energy_and_denergy_dc(x, c):
            assert not value.requires_grad


def test_a_likelihood_that_ignores_y_has_no_slope_in_it(generator):
    x, c = batch(3, 3, generator)
    for log_likelihood in (lambda v, y: -v["x"][:, 0], lambda v, y: -v["x"][:, 0] + 0 * y[:, 1]):
        target = Posterior(
            log_likelihood, lambda v: -v["x"].square().sum(1), [Parameter("x", (2,))],
            observed=("y0", "y1"),
        )  # fmt: skip
        slopes = target.denergy_dc(x, c)
        assert torch.equal(slopes[:, 1:], torch.zeros(3, 2, dtype=F64))
        torch.testing.assert_close(slopes[:, 0], x[:, 0])


def test_an_impossible_observation_has_slopes_of_zero_in_y():
    def log_likelihood(values, y):
        above = y[:, 0] - values["x"]
        return torch.where(above > 0, torch.where(above > 0, above, 1.0).log(), -torch.inf)

    target = Posterior(
        log_likelihood, lambda v: -v["x"].square(), [Parameter("x")], observed=("y",)
    )
    x = torch.tensor([[0.0], [2.0]])
    energy, slopes = target.energy_and_denergy_dc(x, torch.ones(2, 2))
    assert energy[1].item() == slopes[1, 0].item() == math.inf
    assert slopes[1, 1].item() == 0.0
    assert slopes[0].tolist() == [0.0, -1.0]


def test_one_observation_leaves_beta_alone(generator):
    target = amortised()
    x, c = batch(5, 1, generator)
    y = [0.3, -1.0, 2.0]
    one = target.observe(y)
    full = torch.cat([c, torch.tensor(y, dtype=F64).expand(5, -1)], 1)
    assert one.control_names == ("beta",)
    torch.testing.assert_close(one.energy(x, c), target.energy(x, full))
    torch.testing.assert_close(one.denergy_dc(x, c), target.denergy_dc(x, full)[:, :1])
    seeds = [torch.Generator().manual_seed(1) for _ in range(2)]
    draws = [t.sample_prior(4, generator=g) for t, g in zip((one, target), seeds, strict=True)]
    assert torch.equal(*draws)
    assert one.simulate(x, generator=generator).shape == (5, 3)
    assert one.energy(x.float(), c.float()).dtype == torch.float32


def test_draws_from_the_prior_are_free_numbers(generator):
    x = amortised().sample_prior(5000, generator=generator)
    assert x.shape == (5000, 2)
    assert x.dtype == F64
    z = x.mean(0) / torch.tensor([2.0, 1.0]) * math.sqrt(5000)
    assert bool((z.abs() < 4).all())
    single = amortised(
        sample_prior=lambda n, generator: {
            k: v.float() for k, v in draw_prior(n, generator).items()
        }
    )
    assert single.sample_prior(3, generator=generator).dtype == F64


def test_bad_arguments_are_named(generator):
    target, x = poisson(), torch.zeros(3, 1)
    with pytest.raises(ValueError, match=r"^x: expected shape \(B, 1\), got \(3, 2\)"):
        target.energy(torch.zeros(3, 2), 1.0)
    with pytest.raises(ValueError, match="^x: expected a floating-point tensor"):
        target.energy(x.long(), 1.0)
    with pytest.raises(ValueError, match=r"^c: expected shape \(3, 1\) for \(beta\), got \(2, 1\)"):
        target.energy(x, torch.ones(2))
    with pytest.raises(ValueError, match=r"^c: expected shape \(3, 4\) for \(beta, y0, y1, y2\)"):
        amortised().energy(torch.zeros(3, 2), 1.0)
    for bad in (-0.5, math.inf, math.nan):
        with pytest.raises(ValueError, match=f"^beta: .* at least 0, got {bad}"):
            target.energy(x, torch.tensor([0.5, bad, 1.0]))
    with pytest.raises(ValueError, match="^observed: expected distinct names besides beta"):
        Posterior(counts, counts, PARAMETERS, observed=("y", "y"))
    with pytest.raises(ValueError, match="^observed: expected distinct names besides beta"):
        Posterior(counts, counts, PARAMETERS, observed=("beta",))
    with pytest.raises(ValueError, match="^parameters: expected at least one"):
        Posterior(counts, counts, [])
    with pytest.raises(ValueError, match="^y: expected 3 numbers, got 2"):
        amortised().observe([1.0, 2.0])
    with pytest.raises(ValueError, match="^y: expected 0 numbers, got 1"):
        target.observe([1.0])
    with pytest.raises(ValueError, match="^sample_prior: this posterior was made without"):
        target.sample_prior(3, generator=generator)
    with pytest.raises(ValueError, match="^simulate: this posterior was made without"):
        target.simulate(x, generator=generator)


@pytest.mark.parametrize("role", ["log_likelihood", "log_prior"])
@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda v: v["x"], r"expected a tensor of shape \(2,\), got \(2, 1\)"),
        (lambda v: 0.5, r"expected a tensor of shape \(2,\), got float"),
        (lambda v: torch.zeros(2) / 0, "got 2 others among 2, nan at x = "),
        (lambda v: torch.tensor([0.0, torch.inf]), "got 1 others among 2, inf at x = .1.0"),
    ],
)
def test_what_a_function_of_the_user_returns_is_checked(role, returned, message):
    functions = {"log_likelihood": lambda v: torch.zeros(2), "log_prior": lambda v: torch.zeros(2)}
    target = Posterior(**{**functions, role: returned}, parameters=[Parameter("x", (1,), Real())])
    with pytest.raises(ValueError, match=f"^{role}: .*{message}"):
        target.energy(torch.tensor([[0.0], [1.0]]), 1.0)


def test_what_a_sampler_of_the_user_returns_is_checked(generator):
    target = amortised(
        sample_prior=lambda n, generator: draw_prior(n + 1, generator),
        simulate=lambda values, generator: draw_data(values, generator)[:, :2],
    )
    with pytest.raises(ValueError, match="^sample_prior: expected 4 draws, got 5"):
        target.sample_prior(4, generator=generator)
    with pytest.raises(ValueError, match=r"^simulate: expected shape \(4, 3\), got \(4, 2\)"):
        target.simulate(torch.zeros(4, 2), generator=generator)
    target = amortised(
        sample_prior=lambda n, generator: {"mu": torch.zeros(n), "tau": torch.zeros(n)}
    )
    with pytest.raises(ValueError, match="^tau: value: expected numbers above 0, got 0"):
        target.sample_prior(4, generator=generator)


def test_what_overflows_or_is_rounded_onto_an_edge_is_impossible():
    """The functions of the user never see such values: they would make NaN of them."""
    target = Posterior(
        lambda v: 10 * v["rate"].log() - 4 * v["rate"],
        lambda v: -v["rate"] + v["share"].log() + (1 - v["share"]).log(),
        [Parameter("rate", support=Positive()), Parameter("share", support=Interval(0.0, 1.0))],
    )
    rows = [[0.0, 0.0], [800.0, 0.0], [-800.0, 0.0], [0.0, 60.0], [float("nan"), 0.0], [1e300, 1.0]]
    x = torch.tensor(rows, dtype=F64).requires_grad_()
    for beta in (0.0, 1.0):
        energy, slope = target.energy_and_denergy_dc(x, beta)
        assert energy.isfinite().tolist() == [True] + [False] * 5
        assert bool((energy[1:] == torch.inf).all())
        assert bool((slope[1:, 0] == torch.inf).all())
        (gradient,) = torch.autograd.grad(energy[:1].sum(), x, retain_graph=True)
        assert bool(gradient[0].isfinite().all())
    assert bool((target.log_prior(x)[1:] == -torch.inf).all())
    assert bool((target.log_likelihood(x)[1:] == -torch.inf).all())


def test_the_slope_in_the_power_alone_is_the_first_of_all_slopes(generator):
    target = amortised()
    x, c = batch(20, 4, generator)
    energy, slope = target.energy_and_first_slope(x, c)
    both, slopes = target.energy_and_denergy_dc(x, c)
    assert torch.equal(energy, both)
    assert torch.equal(slope, slopes[:, 0])


def test_a_likelihood_in_numpy_can_be_amortised(generator):
    def log_likelihood(values, y):
        return torch.from_numpy(-0.5 * ((y.numpy() - values["mu"].numpy()[:, None]) ** 2).sum(1))

    target = Posterior(log_likelihood, spread_prior, PARAMETERS, observed=("y0", "y1", "y2"))
    x, c = batch(5, 4, generator)
    expected = target.log_likelihood(x, c[:, 1:])
    energy, slope = target.energy_and_first_slope(x, c)
    assert torch.equal(slope, -expected)
    torch.testing.assert_close(energy, -c[:, 0] * expected - target.log_prior(x))
