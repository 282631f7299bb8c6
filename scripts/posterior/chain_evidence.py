"""Log evidence from replica exchange alone, by MBAR over the powers."""

import numpy as np
import torch

from boltzgen.estimators import mbar
from pipeline.ladders import Ladders
from posterior.results import Route
from posterior.sampling import Model

_N_GROUPS = 8
_N_DRAWS = 25


def chain_evidence(ladders: Ladders, model: Model, betas: np.ndarray) -> Route:
    """Log Z at rungs of the ladders, with Z = 1 at beta = 0, where every ladder begins.

    A draw x of any rung has the energy -beta log L(x) plus something that all rungs share, so that
    one log-likelihood a draw is all that MBAR needs. The ladders are independent: the error is
    the jackknife's over groups of them, whatever the correlation in time.

    Args:
        ladders: Draws at rungs, the first of them at beta = 0.
        model: The posterior; its evaluations are booked.
        betas: Rungs at which to report.
    """
    n_rungs, n_ladders, n_draws, _ = ladders.x.shape
    n_groups = min(_N_GROUPS, n_ladders)
    x = ladders.x[:, :, :: -(-n_draws // _N_DRAWS)]
    log_likelihood = model.log_likelihood(torch.from_numpy(x.reshape(-1, x.shape[-1])))
    by_ladder = log_likelihood.reshape(n_rungs, n_ladders, -1)
    at = np.searchsorted(ladders.values, betas - 1e-12)
    values = -_free_energies(by_ladder, ladders.values)[at]
    groups = np.array_split(np.arange(n_ladders), n_groups)
    without = np.stack([
        -_free_energies(np.delete(by_ladder, group, axis=1), ladders.values)[at] for group in groups
    ])  # fmt: skip
    return Route(values, np.sqrt((n_groups - 1) * without.var(0)))


def _free_energies(log_likelihood: np.ndarray, betas: np.ndarray) -> np.ndarray:
    """Free energies of all rungs, (K,), from log L of draws of each, (K, ladders, draws).

    Log L is taken from its largest value on: the solver begins at equal free energies, and is slow
    where they are far from that.
    """
    flat = log_likelihood.reshape(len(betas), -1)
    top = flat.max()
    values = flat.ravel() - top
    with np.errstate(invalid="ignore"):
        u_kn = -betas[:, None] * values
    u_kn[betas == 0] = 0.0
    return mbar(u_kn, np.full(len(betas), flat.shape[1])).f_k - betas * top
