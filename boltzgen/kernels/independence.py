"""Independence Metropolis-Hastings: proposals that a density draws without looking at the chain."""

from typing import NamedTuple

import torch
from torch import Generator, Tensor

from boltzgen.base import Density
from boltzgen.checks import check_controls, check_event
from boltzgen.errors import NonFiniteError
from boltzgen.kernels.common import Info, accept, wide
from boltzgen.protocols import Target


class ProposalState(NamedTuple):
    """Position x (B, *E), its reduced energy (B,) and log-density as a proposal (B,)."""

    x: Tensor
    energy: Tensor
    log_q: Tensor


class FlowProposal:
    """Propose y ~ q(y | c), accept with min(1, w(y) / w(x)), where w = exp(-E) / q.

    Proposals do not depend on where a chain is, so that what is accepted is as far away as the
    density reaches: chains change modes as easily as the density does. If w has an upper bound,
    the distance from p shrinks at each step by at least the factor 1 - Z / max w, Z being the mean
    of w under q; where q misses a part of p, w has none, and a chain that is there stays for long.

    Args:
        target: The target.
        density: q, a flow with the controls of the target; it is not trained here.

    Raises:
        ValueError: The density has another event shape or other controls than the target.

    References:
        Hastings, Biometrika 57, 97 (1970); Tierney, Ann. Stat. 22, 1701 (1994), corollary 4;
        Mengersen and Tweedie, Ann. Stat. 24, 101 (1996), theorem 2.1: the rate.
        Albergo, Kanwar and Shanahan, Phys. Rev. D 100, 034515 (2019): with a flow.
    """

    def __init__(self, target: Target, density: Density) -> None:
        wanted = (tuple(target.event_shape), len(target.control_names))
        found = (density.event_shape, density.n_controls)
        if wanted != found:
            raise ValueError(f"density: expected event shape and C {wanted}, got {found}")
        self.target, self.density = target, density

    def init(self, x: Tensor, c: Tensor) -> ProposalState:
        """State at configurations x (B, *E) and controls c (B, C).

        Raises:
            ValueError: A shape is wrong, or a configuration is forbidden or cannot be proposed.
            NonFiniteError: An energy is NaN, or a log-density NaN or +inf.
        """
        check_event("x", x, self.target.event_shape)
        check_controls("c", c, len(x), len(self.target.control_names))
        with torch.no_grad():
            state = self._state(x, c, self.density.log_prob(x, c))
        n_bad = int((state.energy == torch.inf).sum())
        if n_bad:
            raise ValueError(f"x: expected allowed configurations, got {n_bad} of energy +inf")
        n_bad = int((state.log_q == -torch.inf).sum())
        if n_bad:
            raise ValueError(f"x: expected what the density can propose, got {n_bad} of density 0")
        return state

    def step(
        self, state: ProposalState, c: Tensor, *, generator: Generator
    ) -> tuple[ProposalState, Info]:
        """One proposal for every chain.

        Raises:
            NonFiniteError: An energy is NaN, or the log-density of a proposal is not finite.
        """
        with torch.no_grad():
            new = self._state(*self._propose(c, generator))
        log_ratio = (state.energy + state.log_q) - (new.energy + new.log_q)
        info = accept(log_ratio, generator=generator)
        return ProposalState(
            x=torch.where(wide(info.accepted, new.x), new.x, state.x),
            energy=torch.where(info.accepted, new.energy, state.energy),
            log_q=torch.where(info.accepted, new.log_q, state.log_q),
        ), info

    def _propose(self, c: Tensor, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draws y with their controls and log-density, which has to be finite."""
        y, log_q = self.density.sample_and_log_prob(c, generator=generator)
        n_bad = int((log_q == -torch.inf).sum())
        if n_bad:
            raise NonFiniteError(f"log_q: -inf in {n_bad} of {len(log_q)} proposals")
        return y, c, log_q

    def _state(self, x: Tensor, c: Tensor, log_q: Tensor) -> ProposalState:
        energy = self.target.energy(x, c)
        n_nan = int(energy.isnan().sum())
        if n_nan:
            raise NonFiniteError(f"energy: NaN in {n_nan} of {len(energy)} rows")
        n_bad = int((log_q.isnan() | (log_q == torch.inf)).sum())
        if n_bad:
            raise NonFiniteError(f"log_q: NaN or +inf in {n_bad} of {len(log_q)} rows")
        return ProposalState(x, energy, log_q)
