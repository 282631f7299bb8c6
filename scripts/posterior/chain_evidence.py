"""Log evidence from replica exchange alone, by MBAR over the powers."""

import numpy as np
import torch

from pipeline.ladder_log_z import N_DRAWS, ladder_log_z
from pipeline.ladders import Ladders
from pipeline.routes import Route
from posterior.sampling import Model


def chain_evidence(ladders: Ladders, model: Model, betas: np.ndarray) -> Route:
    """Log Z at rungs of the ladders, with Z = 1 at beta = 0, where every ladder begins.

    A draw x of any rung has the energy -beta log L(x) plus something that all rungs share, so that
    one log-likelihood a draw is all that MBAR needs.

    Args:
        ladders: Draws at rungs, the first of them at beta = 0.
        model: The posterior; its evaluations are booked.
        betas: Rungs at which to report.
    """
    n_rungs, n_ladders, n_draws, _ = ladders.x.shape
    x = ladders.x[:, :, :: -(-n_draws // N_DRAWS)]
    log_likelihood = model.log_likelihood(torch.from_numpy(x.reshape(-1, x.shape[-1])))
    slopes = -log_likelihood.reshape(n_rungs, n_ladders, -1)
    at = np.searchsorted(ladders.values, betas - 1e-12)
    return ladder_log_z(slopes, ladders.values, at)
