"""The contracts themselves: right classes pass, and each planted fault is found."""

import math
from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn

from boltzgen.base import Bijection, Density
from boltzgen.protocols import Batch, LossTerms
from systems.toys import DoubleWell2D
from tests.contracts import contract
from tests.contracts.case import BijectionCase, DensityCase, ObjectiveCase, TargetCase


class Affine(Bijection):
    """z = exp(a + b c) x + s, and on request one fault."""

    def __init__(self, fault=None):
        super().__init__((3,), 1)
        self.a, self.b, self.s = (nn.Parameter(torch.zeros(3)) for _ in range(3))
        self.fault = fault

    def _log_scale(self, c):
        return self.a + self.b * c

    def _forward(self, x, c):
        log_scale = self._log_scale(c)
        shift = self.s.detach() if self.fault == "no gradient" else self.s
        if self.fault == "batch":
            shift = shift + x.mean()
        z = log_scale.exp() * x + shift
        if self.fault == "nan":
            z = z / 0
        if self.fault == "dtype":
            z = z.double()
        return z, log_scale.sum(-1) * (0.9 if self.fault == "logdet" else 1)

    def _inverse(self, z, c):
        log_scale = self._log_scale(c)
        shift = 0.99 * self.s if self.fault == "inverse" else self.s
        x = (z - shift) * (-log_scale).exp()
        if self.fault == "in place":
            z.zero_()
        return x, -log_scale.sum(-1) * (0.9 if self.fault == "logdet" else 1)

    def forward(self, x, c):
        if self.fault == "unchecked":
            return self._forward(x, c)
        if self.fault == "in place":
            x.add_(1)
        return super().forward(x, c)


BIJECTION_CHECKS = [
    contract.check_round_trip,
    lambda case: contract.check_round_trip(case, torch.float32),
    contract.check_log_determinant,
    contract.check_batch_equals_singles,
    contract.check_gradients,
    contract.check_shape_errors,
]


@pytest.mark.parametrize("check", BIJECTION_CHECKS)
def test_a_right_bijection_passes(check):
    check(BijectionCase(Affine))


@pytest.mark.parametrize(
    ("fault", "check", "message"),
    [
        ("inverse", contract.check_round_trip, "round trip"),
        ("nan", contract.check_round_trip, "not finite"),
        ("in place", contract.check_round_trip, "in place"),
        ("logdet", contract.check_log_determinant, "log-determinant"),
        ("batch", contract.check_batch_equals_singles, "batch"),
        ("no gradient", contract.check_gradients, "s: no gradient"),
        ("unchecked", contract.check_shape_errors, "no ValueError|must match"),
        ("dtype", BIJECTION_CHECKS[1], "dtype"),
    ],
)
def test_a_faulty_bijection_is_found(fault, check, message):
    with pytest.raises((AssertionError, RuntimeError), match=message):
        check(BijectionCase(lambda: Affine(fault)))


class Normal(Density):
    """Normal of width exp(a) c in one dimension, and on request one fault."""

    def __init__(self, fault=None):
        super().__init__((1,), 1)
        self.a = nn.Parameter(torch.zeros(1))
        self.fault = fault

    def _log_prob(self, x, c):
        scale = self.a.exp() * (c.detach() if self.fault == "detached" else c)
        log_prob = -0.5 * (x / scale).square() - scale.log() - 0.5 * math.log(2 * math.pi)
        if self.fault == "batch":
            log_prob = log_prob - x.mean()
        return log_prob.sum(-1) + (0.1 if self.fault == "constant" else 0)

    def _sample_and_log_prob(self, c, generator):
        z = torch.randn(c.shape, generator=generator, dtype=c.dtype)
        if self.fault == "global stream":
            z = torch.randn(c.shape, dtype=c.dtype)
        x = z * c * self.a.exp()
        return x, self._log_prob(x * (1.1 if self.fault == "log_prob" else 1), c)


DENSITY_CHECKS = [
    contract.check_sampling,
    lambda case: contract.check_sampling(case, torch.float32),
    contract.check_density_batch,
    contract.check_control_gradient,
    contract.check_normalised,
    contract.check_gradients,
    contract.check_shape_errors,
]


@pytest.mark.parametrize("check", DENSITY_CHECKS)
def test_a_right_density_passes(check):
    check(DensityCase(Normal))


@pytest.mark.parametrize(
    ("fault", "check", "message"),
    [
        ("log_prob", contract.check_sampling, "log_prob of samples"),
        ("global stream", contract.check_sampling, "other samples"),
        ("batch", contract.check_density_batch, "batch"),
        ("detached", contract.check_control_gradient, "not have been used|does not require grad"),
        ("constant", contract.check_normalised, "integral"),
    ],
)
def test_a_faulty_density_is_found(fault, check, message):
    with pytest.raises((AssertionError, RuntimeError), match=message):
        check(DensityCase(lambda: Normal(fault)))


class FaultyWell(DoubleWell2D):
    """A double well with one of the faults that targets have had."""

    def __init__(self, fault):
        super().__init__()
        self.fault = fault

    def energy(self, x, T):
        if self.fault == "batch":
            x = x - x.mean(0)
        if self.fault == "in place":
            x *= 1.5
        if self.fault == "force":
            x = 0.5 * x + 0.5 * x.detach()
        return super().energy(x, T)

    def potential(self, x):
        u = super().potential(x)
        return u - u if self.fault == "nan" else u

    def denergy_dT(self, x, T):
        slope = super().denergy_dT(x, T)
        return slope * T[:, 0] if self.fault == "slope" else slope

    def energy_and_denergy_dc(self, x, c):
        energy, slope = super().energy_and_denergy_dc(x, c)
        return energy, slope[:, 0] if self.fault == "shape" else slope * 1


TARGET_CHECKS = [
    contract.check_target_shape,
    contract.check_target_batch,
    contract.check_target_derivatives,
    contract.check_target_extremes,
]


@pytest.mark.parametrize(
    ("fault", "check", "message"),
    [
        ("in place", contract.check_target_shape, "in place"),
        ("batch", contract.check_target_batch, "batch"),
        ("shape", contract.check_target_batch, "energy_and_denergy_dc"),
        ("slope", contract.check_target_derivatives, "denergy_dc"),
        ("force", contract.check_target_derivatives, "forces"),
        ("nan", contract.check_target_extremes, "NaN"),
    ],
)
def test_a_faulty_target_is_found(fault, check, message):
    with pytest.raises(AssertionError, match=message):
        check(TargetCase(lambda: FaultyWell(fault)))


@pytest.mark.parametrize("check", TARGET_CHECKS)
def test_a_right_target_passes(check):
    check(TargetCase(lambda: FaultyWell(None)))


@dataclass(frozen=True)
class NegativeLogLikelihood:
    """The mean of -log_prob over a batch, and on request one fault."""

    fault: str | None = None

    def __call__(self, density, batch, *, step, generator):
        if self.fault == "global stream":
            return LossTerms(density.log_prob(*batch).mean() * torch.rand(()), {})
        if self.fault == "in place":
            batch.x.add_(1)
        loss = -density.log_prob(*batch)
        loss = loss if self.fault == "shape" else loss.mean()
        loss = loss.detach() if self.fault == "detached" else loss
        return LossTerms(loss, {"nll": loss if self.fault == "metric" else loss.detach().mean()})


class Counting(nn.Module):
    """An objective with state, kept where state_dict finds it or not."""

    def __init__(self, persistent):
        super().__init__()
        self.register_buffer("n_calls", torch.zeros(()), persistent=persistent)

    def forward(self, density, batch, *, step, generator):
        self.n_calls += 1
        return LossTerms(-density.log_prob(*batch).mean() * self.n_calls, {})


def objective_case(fault=None) -> ObjectiveCase:
    def batch(density, n, g):
        c = torch.ones(n, 1, dtype=torch.float64)
        return Batch(density.sample(c, generator=g).detach(), c)

    return ObjectiveCase(lambda: NegativeLogLikelihood(fault), Normal, batch)


def test_a_right_objective_passes():
    contract.check_objective(objective_case())


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("global stream", "another loss"),
        ("in place", "another loss|in place"),
        ("shape", "loss of shape"),
        ("metric", "nll: not detached"),
        ("detached", "does not require grad"),
    ],
)
def test_a_faulty_objective_is_found(fault, message):
    with pytest.raises((AssertionError, RuntimeError), match=message):
        contract.check_objective(objective_case(fault))


def test_state_of_an_objective_has_to_be_saved():
    case = objective_case()
    contract.check_objective(replace(case, make=lambda: Counting(persistent=True)))
    with pytest.raises(AssertionError, match="state that is not saved"):
        contract.check_objective(replace(case, make=lambda: Counting(persistent=False)))
