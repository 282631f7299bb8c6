"""Two moons: a simulator with a crescent of noise and two solutions, whose posterior is known."""

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from torch import Generator, Tensor

from systems.checks import check_positive
from systems.posteriors.parameters import Parameter, Values
from systems.posteriors.posterior import Posterior

_RADIUS, _WIDTH, _SHIFT = 0.1, 0.01, 0.25
_PRIOR_WIDTH = 0.3
_REACH = 9.0
_N_RADII, _N_ANGLES = 160, 160
_ROOT = math.sqrt(2)
_N_GRID = 20_001
_MOST_ROUNDS, _FEWEST = 1000, 4096


class TwoMoons(Posterior):
    """y = (r cos a + 1/4 - |t0 + t1| / sqrt 2, r sin a + (t1 - t0) / sqrt 2), theta = (t0, t1).

    r is normal with mean 0.1 and deviation 0.01, a uniform in (-pi/2, pi/2), both parameters a
    priori normal with mean 0 and deviation 0.3. With q = y - (1/4, 0) minus the shift by theta and
    r = |q|, L = N(r; 0.1, 0.01^2) / (pi r) where q_0 > 0 and 0 elsewhere: two crescents.

    References:
        Greenberg, Nonnenmacher and Macke, APT (2019), arXiv:1905.07488, for the simulator; the
        normal prior and the powers of Wahl et al., TRADE, arXiv:2410.19492.
    """

    def __init__(self) -> None:
        super().__init__(
            _log_likelihood, _log_prior, [Parameter("theta", (2,))], observed=("y0", "y1"),
            sample_prior=_sample_prior, simulate=_simulate,
        )  # fmt: skip

    def log_evidence(self, beta: float, y: Sequence[float]) -> float:
        """Log of the integral of L^beta times the prior, by Gauss quadrature in the moon.

        Good to 1e-9 for beta between 0.05 and 10.
        """
        check_positive("beta", beta)
        low, high = _radii(beta, y[0])
        # The half-angle grows like the root of r - low from where the moon begins.
        root, weights = _nodes(0.0, 1.0, _N_RADII)
        radii, weights = low + (high - low) * root**2, 2 * (high - low) * root * weights
        widest = _half_angle(radii, y[0])
        angles, angle_weights = _nodes(-1.0, 1.0, _N_ANGLES)
        a = widest[:, None] * angles
        u = radii[:, None] * np.cos(a) + _SHIFT - y[0]
        v = y[1] - radii[:, None] * np.sin(a)
        log_f = -(u**2 + v**2) / (2 * _PRIOR_WIDTH**2) + _log_radial(radii, beta)[:, None]
        w = (weights * radii * widest)[:, None] * angle_weights
        top = log_f.max()
        total = float((w * np.exp(log_f - top)).sum())
        return math.log(total) + float(top) + math.log(2 / (2 * math.pi * _PRIOR_WIDTH**2))

    def sample_exact(
        self, beta: float, y: Sequence[float], n: int, *, generator: Generator
    ) -> Tensor:
        """Draw n parameters from the posterior at a power by rejection, float64 (n, 2).

        Raises:
            ValueError: The observation is so unlikely that hardly a proposal is accepted.
        """
        check_positive("beta", beta)
        low, high = _radii(beta, y[0])
        grid = np.linspace(low, high, _N_GRID)
        log_density = _log_radial(grid, beta)
        density = np.exp(log_density - log_density.max()) * grid * _half_angle(grid, y[0])
        cumulative = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2)])
        # The prior is largest where the moon is nearest to theta = 0.
        nearest = max(math.hypot(_SHIFT - y[0], y[1]) - high, 0.0)
        sideways = max(abs(y[1]) - high * math.sin(_half_angle(np.array([high]), y[0])[0]), 0.0)
        least = max(nearest, math.hypot(sideways, max(_SHIFT - y[0], 0.0)))
        kept: list[Tensor] = []
        for _ in range(_MOST_ROUNDS):
            draws = torch.rand(4, max(4 * n, _FEWEST), generator=generator, dtype=torch.float64)
            radii = np.interp(draws[0].numpy(), cumulative / cumulative[-1], grid)
            a = (2 * draws[1] - 1) * torch.from_numpy(_half_angle(radii, y[0]))
            r = torch.from_numpy(radii)
            u, v = r * a.cos() + _SHIFT - y[0], y[1] - r * a.sin()
            log_share = -(u**2 + v**2 - least**2) / (2 * _PRIOR_WIDTH**2)
            u = torch.where(draws[3] < 0.5, u, -u)
            x = torch.stack([u - v, u + v], 1) / _ROOT
            kept.append(x[draws[2].log() < log_share])
            if sum(map(len, kept)) >= n:
                return torch.cat(kept)[:n]
        raise ValueError(f"y: expected an observation that is less unlikely, got {list(y)}")


def _radii(beta: float, y0: float) -> tuple[float, float]:
    """Between which radii L^beta is not negligible and theta exists.

    |t0 + t1| >= 0 asks for r cos a >= y0 - 1/4.
    """
    reach = _REACH * _WIDTH / math.sqrt(beta)
    least = max(y0 - _SHIFT, 1e-12)
    high = _RADIUS + math.hypot(max(least - _RADIUS, 0.0), reach)
    return max(_RADIUS - reach, least), high


def _half_angle(r: np.ndarray, y0: float) -> np.ndarray:
    """Largest |a| at which theta exists."""
    found: np.ndarray = np.arccos(np.clip((y0 - _SHIFT) / r, 0.0, 1.0))
    return found


def _log_radial(r: np.ndarray, beta: float) -> np.ndarray:
    normal = -0.5 * ((r - _RADIUS) / _WIDTH) ** 2 - math.log(_WIDTH * math.sqrt(2 * math.pi))
    found: np.ndarray = beta * (normal - np.log(math.pi * r))
    return found


def _nodes(low: float, high: float, n: int) -> tuple[np.ndarray, np.ndarray]:
    x, w = _legendre(n)
    half = (high - low) / 2
    return low + half * (x + 1), half * w


@cache
def _legendre(n: int) -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(n)


def _moon(theta: Tensor) -> Tensor:
    """Centre of the crescent of observations, (B, 2)."""
    total, difference = theta.sum(1), theta[:, 1] - theta[:, 0]
    return torch.stack([_SHIFT - total.abs() / _ROOT, difference / _ROOT], 1)


def _log_likelihood(values: Values, y: Tensor) -> Tensor:
    q = y - _moon(values["theta"])
    square = q.square().sum(1)
    inside = (q[:, 0] > 0) & (square > 0)
    r = torch.where(inside, square, 1.0).sqrt()
    normal = -0.5 * ((r - _RADIUS) / _WIDTH) ** 2 - math.log(_WIDTH * math.sqrt(2 * math.pi))
    return torch.where(inside, normal - (math.pi * r).log(), -torch.inf)


def _log_prior(values: Values) -> Tensor:
    square = values["theta"].square().sum(1)
    return -0.5 * square / _PRIOR_WIDTH**2 - math.log(2 * math.pi * _PRIOR_WIDTH**2)


def _sample_prior(n: int, generator: Generator) -> Values:
    return {"theta": _PRIOR_WIDTH * torch.randn(n, 2, generator=generator, dtype=torch.float64)}


def _simulate(values: Values, generator: Generator) -> Tensor:
    theta = values["theta"]
    drawn = torch.randn(len(theta), generator=generator, dtype=torch.float64).to(theta)
    turn = torch.rand(len(theta), generator=generator, dtype=torch.float64).to(theta)
    r, a = _RADIUS + _WIDTH * drawn, (turn - 0.5) * math.pi
    return _moon(theta) + torch.stack([r * a.cos(), r * a.sin()], 1)
