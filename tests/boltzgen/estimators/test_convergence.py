"""Split R-hat against ArviZ and in limits."""

import arviz
import numpy as np
import pytest

from boltzgen.estimators import split_rhat


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_it_is_that_of_arviz(shift):
    rng = np.random.default_rng(1)
    chains = rng.normal(size=(4, 1000)) + shift * np.arange(4)[:, None]
    expected = float(arviz.rhat(chains, method="split"))
    assert split_rhat(chains) == pytest.approx(expected, rel=1e-12)
    assert (split_rhat(chains) > 1.05) == (shift > 0)


def test_a_drift_within_chains_is_seen():
    rng = np.random.default_rng(2)
    chains = rng.normal(size=(4, 1000)) + np.linspace(0, 2, 1000)
    assert split_rhat(chains) > 1.1


def test_chains_that_never_move():
    assert split_rhat(np.ones((3, 10))) == 1.0
    assert split_rhat(np.ones((3, 10)) * np.arange(3.0)[:, None]) == np.inf


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="chains: expected finite"):
        split_rhat(np.array([[1.0, 2.0, np.nan, 1.0]]))
    with pytest.raises(ValueError, match="4 steps"):
        split_rhat(np.ones((2, 3)))
