"""Hamiltonian Monte Carlo of phi^4 in two dimensions, many chains: blackjax.

S = sum (1 - 2 lambda) phi^2 + lambda phi^4 - 2 kappa sum phi phi', unit masses, leapfrog steps of
0.1, ten in the mean. Our trajectories draw their number of steps, uniform between half and one and
a half times the mean; those of blackjax have ten each. After every trajectory both measure; ours
the sums of phi, phi^2, phi^4 and over bonds, the others the mean of phi^2 and the acceptance.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from boltzgen.kernels import HMC, ChainState
from lattice_bench.contest import Contest, Sampler
from systems.lattices import HoppingPhi4
from systems.lattices.monte_carlo import (
    FieldCouplings,
    FieldSweep,
    HamiltonianStep,
    Schedule,
    Trajectory,
    hamiltonian_step,
    make_streams,
    run_field,
    start_field,
)

KAPPA, LAMBDA = 0.30, 0.5
STEP, N_STEPS = 0.1, 10
N_CHECKED = 200
"""Trajectories of the comparison of means."""
_N_FIRST = 400
_SITES_A_CALL = 2**22
_N_TORCH = 4
_COUPLINGS = FieldCouplings(np.array(1 - 2 * LAMBDA), np.array(LAMBDA), np.array(2 * KAPPA))
_MOTION = Trajectory(N_STEPS // 2, "leapfrog")  # a step of it is two leapfrog steps


def blackjax_contests(L: int, n_chains: int) -> Iterator[Contest]:
    """Our compiled trajectories, then those of our kernel for any target, against blackjax.

    Raises:
        ImportError: blackjax or jax is not there.
    """
    n = max(10, _SITES_A_CALL // (N_STEPS * L**2 * n_chains))
    theirs = _blackjax(L, n_chains, n)
    ours = {"compiled": _compiled(L, n_chains, n), "torch": _torch(L, n_chains)}
    for name, sampler in ours.items():
        yield Contest(
            task=f"phi4 HMC, {n_chains} chains, {name}", L=L, peer="blackjax",
            unit="a trajectory of one chain", measured="phi^2 after each", observable="phi^2",
            ours=sampler, theirs=theirs,
        )  # fmt: skip


def _in_equilibrium(L: int, n_chains: int, seed: int) -> np.ndarray:
    """Fields, float64 (n_chains, L, L)."""
    chains = start_field((L, L), n_chains, generator=Generator().manual_seed(seed))
    sweep = FieldSweep(Trajectory(), clusters="wolff")
    schedule = Schedule(_N_FIRST, n_burn_in=_N_FIRST)
    return run_field(chains, _COUPLINGS, schedule, sweep=sweep).chains.x


def _compiled(L: int, n_chains: int, n: int) -> Sampler:
    def start(seed: int) -> tuple[np.ndarray, np.ndarray]:
        streams = make_streams(n_chains, generator=Generator().manual_seed(seed + 1))
        return _in_equilibrium(L, n_chains, seed), streams

    def move(x: np.ndarray, streams: np.ndarray, n_trajectories: int) -> HamiltonianStep:
        return hamiltonian_step(
            x, streams, _COUPLINGS, step_size=2 * STEP, trajectory=_MOTION,
            n_trajectories=n_trajectories,
        )  # fmt: skip

    state = start(21)

    def run() -> None:
        nonlocal state
        step = move(*state, n)
        state = step.x, step.streams

    def means() -> np.ndarray:
        return move(*start(23), N_CHECKED).sums.square.mean(1) / L**2

    return Sampler(run, n * n_chains, means)


def _torch(L: int, n_chains: int) -> Sampler:
    target = HoppingPhi4((L, L), {"kappa": KAPPA, "lambda": LAMBDA})
    kernel = HMC(target, step_size=STEP, n_leapfrog=N_STEPS)
    c = torch.zeros(n_chains, 0, dtype=torch.float64)
    generator = Generator().manual_seed(25)

    def start(seed: int) -> ChainState:
        return kernel.init(torch.from_numpy(_in_equilibrium(L, n_chains, seed)), c)

    state = start(26)

    def moved(state: ChainState, n_trajectories: int) -> tuple[ChainState, Tensor]:
        total = torch.zeros(n_chains, dtype=torch.float64)
        for _ in range(n_trajectories):
            state, _ = kernel.step(state, c, generator=generator)
            total += state.x.square().mean((1, 2))
        return state, total / n_trajectories

    def run() -> None:
        nonlocal state
        state, _ = moved(state, _N_TORCH)

    def means() -> np.ndarray:
        return moved(start(27), N_CHECKED)[1].numpy()

    return Sampler(run, _N_TORCH * n_chains, means)


def _blackjax(L: int, n_chains: int, n: int) -> Sampler:
    import blackjax
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", val=True)

    def log_density(flat: jax.Array) -> jax.Array:
        phi = flat.reshape(L, L)
        square = phi * phi
        bonds = phi * (jnp.roll(phi, -1, 0) + jnp.roll(phi, -1, 1))
        return -jnp.sum((1 - 2 * LAMBDA) * square + LAMBDA * square**2 - 2 * KAPPA * bonds)

    kernel = blackjax.hmc(log_density, STEP, jnp.ones(L * L), N_STEPS)

    def start(seed: int) -> tuple[Any, jax.Array]:
        x = _in_equilibrium(L, n_chains, seed).reshape(n_chains, -1)
        return jax.vmap(kernel.init)(jnp.asarray(x)), jax.random.key(seed)

    def compiled(n_trajectories: int) -> Callable[[tuple], tuple]:
        def one(carry: tuple[Any, jax.Array], _: None) -> tuple[tuple, tuple]:
            state, key = carry
            key, own = jax.random.split(key)
            state, info = jax.vmap(kernel.step)(jax.random.split(own, n_chains), state)
            return (state, key), (info.acceptance_rate, jnp.mean(state.position**2, 1))

        return jax.jit(lambda carry: jax.lax.scan(one, carry, None, n_trajectories))

    moved, state = compiled(n), start(31)

    def run() -> None:
        nonlocal state
        state, _ = jax.block_until_ready(moved(state))

    def means() -> np.ndarray:
        _, (_, square) = jax.block_until_ready(compiled(N_CHECKED)(start(32)))
        return np.asarray(square).mean(0)

    return Sampler(run, n * n_chains, means)
