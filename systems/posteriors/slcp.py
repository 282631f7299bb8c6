"""Simple likelihood, complex posterior: four points of a normal whose squares are parameters."""

import math

import torch
from torch import Generator, Tensor

from systems.posteriors.densities import positive_part
from systems.posteriors.parameters import Parameter, Values
from systems.posteriors.posterior import Posterior
from systems.posteriors.supports import Interval

_BOUND = 3.0
_N_PARAMETERS, _N_POINTS = 5, 4


class SLCP(Posterior):
    """Four points in the plane from N((t0, t1), S), theta = (t0 ... t4) uniform in [-3, 3]^5.

    S has the standard deviations s1 = t2^2, s2 = t3^2 and the correlation tanh(t4). Only squares
    of t2 and t3 matter, so that every posterior has four equal modes. y holds the points one after
    another. Without the 1e-6 that some codes add to the diagonal of S.

    References:
        Papamakarios, Sterratt and Murray, Sequential neural likelihood, arXiv:1805.07226.
        Lueckmann et al., Benchmarking simulation-based inference, arXiv:2101.04653, T.3.
    """

    def __init__(self) -> None:
        super().__init__(
            _log_likelihood, _log_prior,
            [Parameter("theta", (_N_PARAMETERS,), Interval(-_BOUND, _BOUND))],
            observed=[f"y{k}" for k in range(2 * _N_POINTS)],
            sample_prior=_sample_prior, simulate=_simulate,
        )  # fmt: skip


def _log_likelihood(values: Values, y: Tensor) -> Tensor:
    theta = values["theta"]
    inside, widths = positive_part(theta[:, 2:4].square())
    z = (y.unflatten(1, (_N_POINTS, 2)) - theta[:, None, :2]) / widths[:, None]
    # With rho = tanh t, z' R^-1 z = (cosh(t) z1 - sinh(t) z2)^2 + z2^2, det R = 1 / cosh(t)^2.
    t = theta[:, 4, None]
    square = (t.cosh() * z[..., 0] - t.sinh() * z[..., 1]).square() + z[..., 1].square()
    log_root = widths.log().sum(1) - t[:, 0].cosh().log() + math.log(2 * math.pi)
    return torch.where(inside.all(1), -0.5 * square.sum(1) - _N_POINTS * log_root, -torch.inf)


def _log_prior(values: Values) -> Tensor:
    return torch.full_like(values["theta"][:, 0], -_N_PARAMETERS * math.log(2 * _BOUND))


def _sample_prior(n: int, generator: Generator) -> Values:
    u = torch.rand(n, _N_PARAMETERS, generator=generator, dtype=torch.float64)
    return {"theta": _BOUND * (2 * u - 1)}


def _simulate(values: Values, generator: Generator) -> Tensor:
    theta = values["theta"]
    z = torch.randn(len(theta), _N_POINTS, 2, generator=generator, dtype=torch.float64).to(theta)
    t = theta[:, 4, None]
    first = t.tanh() * z[..., 1] + z[..., 0] / t.cosh()
    shape = torch.stack([first, z[..., 1]], 2)
    return (theta[:, None, :2] + theta[:, None, 2:4].square() * shape).flatten(1)
