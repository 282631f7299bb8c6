"""Hamiltonian Monte Carlo for chains of a scalar field, S = a sum x^2 + b sum x^4 - t B(x).

It moves |x| and the sign, for hopping of either sign; where the action is a deep double well,
steps of clusters must change the sign of the whole field (`field_chains` combines both).
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numba import prange

from systems.lattices.geometry import check_lattice
from systems.lattices.monte_carlo.compiled import compiled_over_chains
from systems.lattices.monte_carlo.field_arguments import (
    check_count,
    check_couplings,
    check_fields,
    check_float64,
    check_steps,
)
from systems.lattices.monte_carlo.field_dynamics import (
    Box,
    Coefficients,
    close_rim,
    make_box,
    put_in,
    take_out,
)
from systems.lattices.monte_carlo.field_heat_bath import FieldCouplings
from systems.lattices.monte_carlo.scalar_field import FieldSums
from systems.lattices.monte_carlo.trajectories import (
    FIRST_KICKS,
    Motion,
    integrate,
    make_work_space,
    move,
)


@dataclass(frozen=True)
class Trajectory:
    """How the motion is followed; each step takes the gradient twice.

    Args:
        n_steps: Mean number n of steps; each trajectory of each chain draws its own, uniform on
            the integers from n / 2 to 3 n / 2, so that no mode of the field keeps its period.
        integrator: "omelyan", or "leapfrog", whose step is two leapfrog steps of half the length.

    Raises:
        ValueError: There is no step, or the integrator is another word.
    """

    n_steps: int = 10
    integrator: Literal["omelyan", "leapfrog"] = "omelyan"

    def __post_init__(self) -> None:
        check_count("n_steps", self.n_steps)
        if self.integrator not in FIRST_KICKS:
            raise ValueError(
                f"integrator: expected 'omelyan' or 'leapfrog', got {self.integrator!r}"
            )

    @property
    def motion(self) -> Motion:
        """The form that compiled code takes."""
        return Motion(self.n_steps, FIRST_KICKS[self.integrator])


@dataclass(frozen=True)
class HamiltonianStep:
    """What a step returns.

    Args:
        x: New configurations, float64 (n_chains, L_1, ..., L_d).
        streams: Streams after the step.
        sums: After every trajectory, float64 (n_chains, n_trajectories) each.
        acceptance: Probability with which each trajectory was accepted, of that shape.
        energy_change: dH of each trajectory; the mean of exp(-dH) is 1 in equilibrium.
    """

    x: np.ndarray
    streams: np.ndarray
    sums: FieldSums
    acceptance: np.ndarray
    energy_change: np.ndarray


def hamiltonian_step(
    x: np.ndarray,
    streams: np.ndarray,
    couplings: FieldCouplings,
    *,
    step_size: np.ndarray | float,
    trajectory: Trajectory,
    n_trajectories: int = 1,
) -> HamiltonianStep:
    """Follow trajectories with new momenta each, and accept with probability min(1, exp(-dH)).

    A trajectory whose energy is not finite is rejected. Results depend neither on the number of
    threads nor on the other chains.

    Args:
        x: Configurations, float64 (n_chains, L_1, ..., L_d).
        streams: As `make_streams` returns them.
        couplings: a, b and t, a number or one for each chain (n_chains,).
        step_size: Above 0, a number or (n_chains,).
        trajectory: Number and kind of steps.
        n_trajectories: How many, one after the other.

    Raises:
        ValueError: An array or a number is not as described, or the action has no minimum.
    """
    shape = check_fields(x, streams)
    n_chains = x.shape[0]
    couplings = check_couplings(couplings, n_chains, len(shape))
    steps = check_steps(step_size, n_chains)
    check_count("n_trajectories", n_trajectories)
    flat, streams = x.reshape(n_chains, -1).copy(), streams.copy()
    out = np.empty((n_chains, 6, n_trajectories))
    _move_chains(
        flat, streams, couplings, _Settings(steps, *trajectory.motion), make_box(shape), out
    )
    first, square, quartic, bond, acceptance, change = out.swapaxes(0, 1).copy()
    sums = FieldSums(first, square, quartic, bond)
    return HamiltonianStep(flat.reshape(x.shape), streams, sums, acceptance, change)


class _Settings(NamedTuple):
    """Step sizes (n_chains,), and the fields of `Motion`."""

    step_size: np.ndarray
    n_steps: int
    first_kick: float


@compiled_over_chains
def _move_chains(
    x: np.ndarray,
    streams: np.ndarray,
    couplings: FieldCouplings,
    settings: _Settings,
    box: Box,
    out: np.ndarray,
) -> None:
    motion = Motion(settings.n_steps, settings.first_kick)
    for c in prange(x.shape[0]):
        of_chain = Coefficients(couplings.quadratic[c], couplings.quartic[c], couplings.hopping[c])
        work = make_work_space(box, x.shape[1])
        for i in range(out.shape[2]):
            trial = move(x[c], streams[c], of_chain, settings.step_size[c], (motion, box), work)
            out[c, 0, i], out[c, 1, i] = trial.sums.first, trial.sums.square
            out[c, 2, i], out[c, 3, i] = trial.sums.quartic, trial.sums.bond
            out[c, 4, i], out[c, 5, i] = trial.acceptance, trial.energy_change


def follow(
    x: np.ndarray,
    p: np.ndarray,
    couplings: FieldCouplings,
    *,
    step_size: np.ndarray | float,
    trajectory: Trajectory,
) -> tuple[np.ndarray, np.ndarray]:
    """Follow the motion dx/dt = p, dp/dt = -grad S(x) for exactly `n_steps` steps.

    Args:
        x: Fields, float64 (n_chains, L_1, ..., L_d).
        p: Momenta, of the same shape.
        couplings: a, b and t, a number or one for each chain (n_chains,).
        step_size: Above 0, a number or (n_chains,).
        trajectory: Number and kind of steps.

    Returns:
        Fields and momenta at the end.

    Raises:
        ValueError: An array or a number is not as described, or the action has no minimum.
    """
    for name, values in (("x", x), ("p", p)):
        check_float64(name, values)
    if p.shape != x.shape:
        raise ValueError(f"p: expected the shape {x.shape} of x, got {p.shape}")
    box = make_box(check_lattice(x.shape[1:]))
    n_chains = x.shape[0]
    couplings = check_couplings(couplings, n_chains, x.ndim - 1)
    steps = check_steps(step_size, n_chains)
    new_x, new_p = x.reshape(n_chains, -1).copy(), p.reshape(n_chains, -1).copy()
    _follow_chains(new_x, new_p, couplings, _Settings(steps, *trajectory.motion), box)
    return new_x.reshape(x.shape), new_p.reshape(x.shape)


@compiled_over_chains
def _follow_chains(
    x: np.ndarray,
    p: np.ndarray,
    couplings: FieldCouplings,
    settings: _Settings,
    box: Box,
) -> None:
    motion = Motion(settings.n_steps, settings.first_kick)
    for c in prange(x.shape[0]):
        of_chain = Coefficients(couplings.quadratic[c], couplings.quartic[c], couplings.hopping[c])
        work = make_work_space(box, x.shape[1])
        put_in(x[c], box, work.x)
        close_rim(work.x, box)
        put_in(p[c], box, work.momentum)
        integrate(work, of_chain, settings.step_size[c], motion, box)
        take_out(work.x, box, x[c])
        take_out(work.momentum, box, p[c])
