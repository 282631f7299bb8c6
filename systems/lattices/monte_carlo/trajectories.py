"""One trajectory of Hamiltonian Monte Carlo for one chain of a scalar field.

A step of the splitting is p, x, p, x, p with kicks of lambda, 1 - 2 lambda and lambda steps and
drifts of half a step. It is symmetric and preserves volume for every lambda: 1/4 makes it two
leapfrog steps of half the length, and lambda = 0.193 makes its error smallest.

References:
    Duane, Kennedy, Pendleton & Roweth, Phys. Lett. B 195 (1987) 216; Omelyan, Mryglod & Folk,
    Comput. Phys. Commun. 146 (2002) 188; Mackenzie, Phys. Lett. B 226 (1989) 369, for random
    lengths of trajectories.
"""

import math
from typing import NamedTuple

import numpy as np

from systems.lattices.monte_carlo.compiled import compiled
from systems.lattices.monte_carlo.field_dynamics import (
    Box,
    Coefficients,
    Sums,
    close_rim,
    kick_and_drift,
    kinetic_energy,
    measure,
    put_in,
    take_out,
)
from systems.lattices.monte_carlo.normals import fill_normals
from systems.lattices.monte_carlo.streams import bytes_block, draw_word, to_below, to_unit

FIRST_KICKS = {"omelyan": 0.1931833275037836, "leapfrog": 0.25}


class Motion(NamedTuple):
    """How trajectories are made.

    Args:
        n_steps: Mean number of steps.
        first_kick: lambda.
    """

    n_steps: int
    first_kick: float


class WorkSpace(NamedTuple):
    """Arrays that a chain uses again and again.

    Args:
        x: Field with its rim, float64 (size,).
        between: The field in the middle of a step.
        momentum: p.
        noise: Normal numbers, float64 (V,).
        block: Random words for them.
    """

    x: np.ndarray
    between: np.ndarray
    momentum: np.ndarray
    noise: np.ndarray
    block: np.ndarray


class Trial(NamedTuple):
    """What became of a trajectory.

    Args:
        sums: Of the field after the test.
        acceptance: Probability with which the trajectory was accepted.
        energy_change: dH at its end.
    """

    sums: Sums
    acceptance: float
    energy_change: float


@compiled
def make_work_space(box: Box, n_sites: int) -> WorkSpace:
    """Arrays for a lattice; the rims of axes that it lacks are zero and stay so."""
    x, between, momentum = np.zeros(box.size), np.zeros(box.size), np.zeros(box.size)
    return WorkSpace(x, between, momentum, np.empty(n_sites), bytes_block(8 * n_sites))


@compiled
def load_field(x: np.ndarray, work: WorkSpace, box: Box) -> Sums:
    """Bring a field (V,) into the work space, and measure it."""
    put_in(x, box, work.x)
    close_rim(work.x, box)
    return measure(work.x, box)


@compiled
def integrate(
    work: WorkSpace,
    couplings: Coefficients,
    step_size: float,
    motion: Motion,
    box: Box,
) -> None:
    """Follow the motion for `n_steps` steps; field and momentum of the work space change."""
    first, half = motion.first_kick * step_size, 0.5 * step_size
    kick, middle = first, (1.0 - 2.0 * motion.first_kick) * step_size
    x, between, p = work.x, work.between, work.momentum
    for _ in range(motion.n_steps):
        kick_and_drift(x, p, between, (kick, half), couplings, box)
        close_rim(between, box)
        kick_and_drift(between, p, x, (middle, half), couplings, box)
        close_rim(x, box)
        kick = 2.0 * first
    kick_and_drift(x, p, between, (first, 0.0), couplings, box)


@compiled
def move(
    x: np.ndarray,
    stream: np.ndarray,
    couplings: Coefficients,
    step_size: float,
    setting: tuple[Motion, Box],
    work: WorkSpace,
) -> Trial:
    """Draw momenta and a length, follow the motion, accept or reject; x (V,) is changed in place.

    The number of steps is uniform on the integers from n / 2 to 3 n / 2. It depends on nothing
    else, so that every length on its own leaves exp(-S) as it is.
    """
    motion, box = setting
    fill_normals(stream, work.block, work.noise)
    work.momentum[:] = 0.0
    put_in(work.noise, box, work.momentum)
    before = load_field(x, work, box)
    energy = _action(before, couplings) + kinetic_energy(work.momentum, box)
    least = (motion.n_steps + 1) // 2
    n_steps = least + to_below(draw_word(stream), 3 * motion.n_steps // 2 - least + 1)
    integrate(work, couplings, step_size, Motion(n_steps, motion.first_kick), box)
    after = measure(work.x, box)
    change = _action(after, couplings) + kinetic_energy(work.momentum, box) - energy
    acceptance = math.exp(min(0.0, -change)) if math.isfinite(change) else 0.0
    if to_unit(draw_word(stream)) < acceptance:
        take_out(work.x, box, x)
        return Trial(after, acceptance, change)
    return Trial(before, acceptance, change)


@compiled
def _action(sums: Sums, couplings: Coefficients) -> float:
    return couplings.a * sums.square + couplings.b * sums.quartic - couplings.t * sums.bond
