"""Adaptation of step sizes on an acceptance that is known."""

import math

import numpy as np
import pytest

from systems.lattices.monte_carlo.step_sizes import adapt, begin_tuning


@pytest.mark.parametrize("start", [0.05, 0.3, 20.0])
def test_the_wanted_acceptance_is_found(start):
    random = np.random.default_rng(0)
    tuning = begin_tuning(start)
    for _ in range(1500):
        step = math.exp(tuning.log_step)
        tuning = adapt(tuning, float(random.random() < math.exp(-(step**2))) - 0.8)
    wanted = math.sqrt(-math.log(0.8))
    assert abs(tuning.log_average - math.log(wanted)) < 0.2


def test_it_starts_where_it_is_told():
    tuning = begin_tuning(0.4)
    assert tuning.log_step == tuning.log_average == math.log(0.4)
    assert tuning.n_updates == 0
    assert adapt(tuning, -0.3).log_step == pytest.approx(math.log(0.4) - 0.3)
