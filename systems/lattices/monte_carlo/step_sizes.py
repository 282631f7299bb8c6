"""Step sizes by stochastic approximation, one chain at a time, in compiled code.

After trajectory n the logarithm of the step size moves by n^(-0.6) times how far the acceptance
was above the wanted one. The result is an average of the logarithm in which the last n^0.75
values count most.

References:
    Robbins & Monro, Ann. Math. Stat. 22 (1951) 400; Polyak & Juditsky, SIAM J. Control Optim. 30
    (1992) 838, for the average.
"""

import math
from typing import NamedTuple

from systems.lattices.monte_carlo.compiled import compiled

_GAIN, _SHARE = 0.6, 0.75


class Tuning(NamedTuple):
    """Logarithm of the step size to try next, its average, and the number of updates."""

    log_step: float
    log_average: float
    n_updates: int


@compiled
def begin_tuning(step_size: float) -> Tuning:
    """Start from a step size above 0."""
    log_step = math.log(step_size)
    return Tuning(log_step, log_step, 0)


@compiled
def adapt(tuning: Tuning, excess: float) -> Tuning:
    """Take in how far the acceptance was above the wanted one."""
    n = tuning.n_updates + 1
    log_step = tuning.log_step + float(n) ** -_GAIN * excess
    share = float(n) ** -_SHARE
    log_average = share * log_step + (1.0 - share) * tuning.log_average
    return Tuning(log_step, log_average, n)
