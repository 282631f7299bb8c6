import math

import pytest
import torch

from systems.posteriors import Funnel

F64 = torch.float64


def test_at_one_it_is_the_funnel(generator):
    target = Funnel()
    assert target.event_shape == (10,)
    assert target.space.labels == ("v", *(f"x[{i}]" for i in range(9)))
    x = 2 * torch.randn(20, 10, generator=generator, dtype=F64)
    v, rest = x[:, 0], x[:, 1:]
    expected = torch.distributions.Normal(0.0, 3.0).log_prob(v)
    expected = expected + torch.distributions.Normal(0.0, (v / 2).exp()[:, None]).log_prob(
        rest
    ).sum(1)
    torch.testing.assert_close(target.energy(x, 1.0), -expected)


@pytest.mark.parametrize("width", [0.3, 1.0, 10.0])
@pytest.mark.parametrize("n_dims", [2, 10, 300])
def test_both_ends_are_normalised_and_z_is_less_between(n_dims, width):
    target = Funnel(n_dims, width=width)
    for beta in (0.0, 1.0):
        assert target.log_evidence(beta) == pytest.approx(0.0, abs=1e-11)
    assert target.log_evidence(0.5) < -0.01


@pytest.mark.parametrize("beta", [0.2, 0.5, 0.9])
def test_the_evidence_is_that_of_a_sum_over_the_plane(beta):
    target = Funnel(2, width=2.0)
    # With x = e^(v / 2) s the integrand is smooth on one scale in both.
    v, s = torch.linspace(-30, 30, 301, dtype=F64), torch.linspace(-60, 60, 3001, dtype=F64)
    logs = []
    for part in v.split(100):
        plane = torch.cartesian_prod(part, s)
        x = torch.stack([plane[:, 0], plane[:, 1] * (plane[:, 0] / 2).exp().clamp_max(2.0)], 1)
        root = (plane[:, 0] / 2).clamp_max(math.log(2.0))
        logs.append((root - target.energy(x, beta)).logsumexp(0))
    found = torch.stack(logs).logsumexp(0).item() + math.log(0.2 * 0.04)
    assert target.log_evidence(beta) == pytest.approx(found, abs=1e-8)


@pytest.mark.parametrize(("beta", "other"), [(0.0, 0.05), (0.5, 0.45), (0.5, 0.55), (1.0, 0.95)])
def test_exact_samples_energies_and_evidence_agree(beta, other, along_the_path, generator):
    along_the_path(Funnel(), beta, other, n=20_000, generator=generator)


def test_exact_samples_at_one_are_those_of_the_funnel(generator):
    n = 20_000
    x = Funnel().sample_exact(1.0, n, generator=generator)
    v, scaled = x[:, 0] / 3, x[:, 1:] * (-x[:, :1] / 2).exp()
    for value in (v, scaled.flatten()):
        root = math.sqrt(len(value))
        assert abs(value.mean().item()) * root < 4
        assert abs(value.square().mean().item() - 1) * root < 4 * math.sqrt(2)


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_down_its_neck_nothing_is_nan(dtype):
    v = torch.tensor([-1e12, -1e3, -90.0, 0.0, 90.0, 1e3, 1e12], dtype=dtype)
    for rest in (0.0, 1e-20, 1.0, 1e12):
        x = torch.cat([v[:, None], torch.full((7, 9), rest, dtype=dtype)], 1)
        energy = Funnel().energy(x, 1.0)
        assert not energy.isnan().any()
        assert not (energy == -math.inf).any()


def test_bad_arguments_are_named(generator):
    with pytest.raises(ValueError, match="^n_dims: expected at least 2, got 1"):
        Funnel(1)
    with pytest.raises(ValueError, match="^width: expected a finite number above 0"):
        Funnel(width=-1.0)
    for bad in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="^beta: expected a number between 0 and 1"):
            Funnel().log_evidence(bad)
        with pytest.raises(ValueError, match="^beta: expected a number between 0 and 1"):
            Funnel().sample_exact(bad, 3, generator=generator)
