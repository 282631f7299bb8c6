"""Log Z of several targets from the samples of several flows together."""

import numpy as np
from numpy.random import default_rng

from boltzgen.estimators import mixture_free_energies
from pipeline.numbers import Numbers


def mixture_log_z(u_model: np.ndarray, u_target: np.ndarray, n_k: np.ndarray) -> Numbers:
    """Log Z of each target, absolute, with standard errors.

    The density of all samples together is known, so MBAR needs no equations here (the balance
    heuristic); the error is that of sums over the independent samples of each flow.

    Args:
        u_model: -log q of all samples under every flow, (K, N), sorted by flow.
        u_target: Energies of all samples under every target, (K, N).
        n_k: Samples of each flow, (K,).
    """
    found = mixture_free_energies(u_model, u_target, n_k, rng=default_rng(0), n_resamples=2)
    strata = np.split(found.weights, np.cumsum(n_k)[:-1])
    variance = sum(len(rows) * rows.var(0, ddof=1) for rows in strata)
    return Numbers(-found.absolute_f_k, np.sqrt(variance))
