"""Chains that start from the exact distribution and must stay in it."""

import torch
from scipy import stats

DOUBLE = torch.float64
N_CHAINS = 4000


def started(target, temperatures, generator, n=N_CHAINS):
    """Exact samples (n, *E) and temperatures (n, 1), the given ones by turns."""
    each = n // len(temperatures)
    parts = [target.sample_exact(t, each, generator=generator) for t in temperatures]
    x = torch.stack(parts, 1).flatten(0, 1)
    c = torch.tensor(temperatures, dtype=DOUBLE).repeat(each)[:, None]
    return x, c


def assert_stationary(target, x, c, generator):
    """Mean energy at each temperature, and each coordinate against fresh exact samples.

    The chains are independent, so that the standard errors are plain ones; 4 sigma for the energy,
    and the two-sample Kolmogorov-Smirnov statistic at the p-value of 4 sigma.
    """
    for t in c.unique().tolist():
        at = x[c[:, 0] == t]
        energy = target.energy(at, t)
        error = energy.std() / len(energy) ** 0.5
        assert abs(energy.mean() - target.mean_potential(t) / t) < 4 * error
        fresh = target.sample_exact(t, 4 * len(at), generator=generator)
        for k in range(at.shape[1]):
            found = stats.ks_2samp(at[:, k].numpy(), fresh[:, k].numpy())
            assert found.pvalue > 2 * stats.norm.sf(4)
