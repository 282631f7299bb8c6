"""Whole Jacobians of networks, their determinants, and Newton's method with them."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from boltzgen.flows.duals import push

Map = Callable[[Tensor, Tensor], Tensor]
"""A network: (B, *E), controls (B, C) -> (B, *E); rows do not see each other."""

_COLUMNS = 2**10
"""Rows times tangents that are pushed through a network at once."""
_HALVINGS = 8
_REFINEMENTS, _FALL = 40, 0.5
"""Corrections without a Jacobian at most, and by what each has to shrink the error."""
_RESTARTS, _AWAY = 16, 0.3
"""New starts at most, and how far they are from the guess, in units of its components."""


class Linearised(NamedTuple):
    """Value of a map, (B, *E), and its Jacobian, (B, D, D), row the output, column the input."""

    value: Tensor
    jacobian: Tensor

    @property
    def log_volume(self) -> Tensor:
        """log|det| of the Jacobian, (B,); -inf where it is singular."""
        return torch.linalg.slogdet(self.jacobian)[1]

    def within(self, rows: Tensor) -> "Linearised":
        """The same with the identity as Jacobian of all rows but these, bool (B,).

        A singular matrix would make the gradients of all rows NaN, used or not.
        """
        n = self.jacobian.shape[-1]
        identity = torch.eye(n, dtype=self.jacobian.dtype, device=self.jacobian.device)
        return Linearised(self.value, torch.where(rows[:, None, None], self.jacobian, identity))


def linearise(network: Map, x: Tensor, c: Tensor) -> Linearised:
    """Value and Jacobian of a network, by D products with tangents (forward mode), in chunks.

    Both keep a graph to parameters, x and c where autograd records one.

    Args:
        network: The network; its operations known to `Dual`, or to forward mode.
        x: Where, (B, *E).
        c: Controls, (B, C).
    """
    n_rows, n_features = len(x), math.prod(x.shape[1:])
    basis = torch.eye(n_features, dtype=x.dtype, device=x.device)
    directions = basis.reshape(n_features, 1, *x.shape[1:]).expand(-1, *x.shape)
    chunk = max(1, min(n_features, _COLUMNS // max(n_rows, 1)))
    pushed = [push(network, x, c, some) for some in directions.split(chunk)]
    columns = torch.cat([rates for _, rates in pushed]).flatten(2)
    return Linearised(pushed[0][0], columns.permute(1, 2, 0))


class Solved(NamedTuple):
    """Solution of network(z) = x, and how far network(z) is from x.

    Attributes:
        z: (B, *E).
        error: Largest |network(z) - x| of a row, (B,).
    """

    z: Tensor
    error: Tensor


@torch.no_grad()
def solve(
    network: Map, inverse: Map, x: Tensor, c: Tensor, *, tolerance: Tensor, n_steps: int
) -> Solved:
    """Solve network(z, c) = x, from a guess by a network that nearly undoes it.

    First z <- z + inverse(x) - inverse(network(z)), which needs no Jacobian, as long as that
    halves the error of a row; then Newton's method, with steps halved until the error falls; for
    rows that end beside a fold of the network, Newton's method again from starts about the guess.

    Args:
        network: The network.
        inverse: Of the guess.
        x: Wanted values of the network, (B, *E).
        c: Controls, (B, C).
        tolerance: A row is solved once its error is below its own, (B,).
        n_steps: Newton steps at most.
    """
    goal = inverse(x, c)
    best = Solved(goal.clone(), _error(network(goal, c), x))
    rows = (~(best.error <= tolerance)).nonzero()[:, 0]
    for _ in range(_REFINEMENTS):
        if not len(rows):
            break
        z, own, before = best.z[rows], c[rows], best.error[rows]
        trial = z + goal[rows] - inverse(network(z, own), own)
        _take(Solved(trial, _error(network(trial, own), x[rows])), best, rows)
        left = best.error[rows]
        rows = rows[(left < _FALL * before) & ~(left <= tolerance[rows])]
    _newton(network, x, c, best, tolerance=tolerance, n_steps=n_steps)
    noise = Generator(device=x.device).manual_seed(0)
    for _ in range(_RESTARTS):
        rows = (~(best.error <= tolerance)).nonzero()[:, 0]
        if not len(rows):
            break
        size = goal[rows].square().flatten(1).mean(1).sqrt()
        away = torch.randn(goal[rows].shape, generator=noise, dtype=x.dtype, device=x.device)
        z = goal[rows] + _AWAY * by_row(size, goal) * away
        found = Solved(z, _error(network(z, c[rows]), x[rows]))
        _newton(network, x[rows], c[rows], found, tolerance=tolerance[rows], n_steps=n_steps)
        _take(found, best, rows)
    return best


def _newton(
    network: Map, x: Tensor, c: Tensor, best: Solved, *, tolerance: Tensor, n_steps: int
) -> None:
    """Newton's method from the best z of each row on, in place."""
    for _ in range(n_steps):
        rows = (~(best.error <= tolerance)).nonzero()[:, 0]
        if not len(rows):
            break
        if not _take(_step(network, x[rows], c[rows], best.z[rows]), best, rows):
            break


def _take(found: Solved, best: Solved, rows: Tensor) -> bool:
    """Write what is better than the best of these rows there; whether anything was."""
    improved = found.error < best.error[rows]
    best.z[rows[improved]], best.error[rows[improved]] = found.z[improved], found.error[improved]
    return bool(improved.any())


def _step(network: Map, x: Tensor, c: Tensor, z: Tensor) -> Solved:
    """One Newton step of every row, halved until the error falls; the last try otherwise."""
    here = linearise(network, z, c)
    before = _error(here.value, x)
    direction = newton_direction(here, x)
    share = torch.ones_like(before)
    for _ in range(_HALVINGS):
        trial = z + by_row(share, z) * direction
        error = _error(network(trial, c), x)
        worse = ~(error < before)
        if not bool(worse.any()):
            break
        share = torch.where(worse, share / 2, share)
    return Solved(trial, error)


def newton_direction(here: Linearised, x: Tensor) -> Tensor:
    """J^-1 (x - value), (B, *E); zero in rows whose Jacobian is singular or not finite."""
    with torch.no_grad():
        trial, failed = torch.linalg.solve_ex(here.jacobian, (x - here.value).flatten(1)[..., None])
        usable = (failed == 0) & trial.isfinite().all((1, 2))
    gap = torch.where(by_row(usable, x), x - here.value, 0.0).flatten(1)
    found: Tensor = torch.linalg.solve(here.within(usable).jacobian, gap[..., None])
    return found.reshape(x.shape)


def by_row(values: Tensor, like: Tensor) -> Tensor:
    """Values (B,) in a shape that spreads over rows, (B, 1, ...)."""
    return values.reshape(-1, *[1] * (like.dim() - 1))


def _error(value: Tensor, x: Tensor) -> Tensor:
    """Largest |value - x| of each row, +inf where that is no number."""
    error = (value - x).abs().flatten(1).amax(1)
    return error.nan_to_num(nan=torch.inf)
