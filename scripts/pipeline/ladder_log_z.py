"""Log Z at the rungs of replica exchange, from its draws alone."""

import numpy as np

from boltzgen.estimators import mbar
from pipeline.routes import Route

N_DRAWS = 25
"""So many draws of each ladder and rung are enough, spread over its length."""
_N_GROUPS = 8


def ladder_log_z(
    slopes: np.ndarray, levels: np.ndarray, at: np.ndarray, *, anchor: int | None = None
) -> Route:
    """Log Z by MBAR over all rungs, relative to one of them.

    The energy of a draw x at a rung is level * s(x) plus something that all rungs share: the power
    of a likelihood times -log L, or 1 / T times the potential. The ladders are independent: the
    error is the jackknife's over groups of them, whatever the correlation in time.

    Args:
        slopes: s of the draws of each rung, (K, ladders, draws).
        levels: Of the rungs, (K,).
        at: Rungs at which to report, (M,).
        anchor: Which of the reported ones has Z = 1; if None, the first of all rungs has.
    """
    groups = np.array_split(np.arange(slopes.shape[1]), min(_N_GROUPS, slopes.shape[1]))
    kept = [slopes, *(np.delete(slopes, group, axis=1) for group in groups)]
    found = np.stack([-_free_energies(each, levels)[at] for each in kept])
    if anchor is not None:
        found = found - found[:, anchor, None]
    values, without = found[0], found[1:]
    return Route(values, np.sqrt((len(groups) - 1) * without.var(0)), relative=anchor is not None)


def _free_energies(slopes: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Free energies of all rungs, (K,), from draws of each.

    Slopes are taken from their least value on: the solver begins at equal free energies, and is
    slow where they are far from that.
    """
    flat = slopes.reshape(len(levels), -1)
    least = flat.min()
    with np.errstate(invalid="ignore"):
        u_kn = levels[:, None] * (flat.ravel() - least)
    u_kn[levels == 0] = 0.0
    return mbar(u_kn, np.full(len(levels), flat.shape[1])).f_k + levels * least
