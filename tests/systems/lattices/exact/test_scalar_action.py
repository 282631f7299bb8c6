"""Conventions, stiffness and extent of the scalar action."""

import itertools
import math

import numpy as np
import pytest
import torch

from systems.lattices.exact.scalar_action import (
    ScalarAction,
    check_bounded,
    field_extent,
    stiffness,
)
from systems.lattices.geometry import forward_sum


def test_the_usual_conventions_are_special_cases():
    assert ScalarAction.from_hopping(0.3, 0.02) == ScalarAction(0.96, 0.02, 0.6)
    assert ScalarAction.from_mass(-4.0, 8.0, 2) == ScalarAction(0.0, 8.0, 2.0)


@pytest.mark.parametrize("bad", [(math.nan, 1.0, 1.0), (1.0, math.inf, 1.0), (1.0, 1.0, math.nan)])
def test_coefficients_that_are_not_finite_are_refused(bad):
    with pytest.raises(ValueError, match="expected a finite number"):
        ScalarAction(*bad)


def test_a_negative_quartic_coefficient_is_refused():
    with pytest.raises(ValueError, match="quartic: expected at least 0"):
        ScalarAction(1.0, -0.1, 0.0)


@pytest.mark.parametrize("shape", [(2, 2), (3, 4), (2, 3, 2), (7,)])
def test_the_stiffness_is_the_quadratic_form_of_plane_waves(shape):
    action = ScalarAction(1.7, 0.0, 0.4)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    bond_sum = (x * forward_sum(x, len(shape))).sum()
    direct = action.quadratic * (x**2).sum() - action.hopping * bond_sum
    modes = np.abs(np.fft.fftn(x.numpy(), norm="ortho")) ** 2
    np.testing.assert_allclose((stiffness(action, shape) * modes).sum(), direct.item(), rtol=1e-13)


@pytest.mark.parametrize("kappa", [0.25, 0.3, -0.26])
def test_a_free_action_with_a_soft_mode_is_unbounded(kappa):
    with pytest.raises(ValueError, match="action: expected a positive stiffness"):
        check_bounded(ScalarAction.from_hopping(kappa, 0.0), (4, 4))


def test_a_quartic_term_bounds_every_action():
    check_bounded(ScalarAction.from_hopping(0.6, 0.01), (4, 4))


@pytest.mark.parametrize(
    "action",
    [
        ScalarAction(1.0, 0.0, 0.48),
        ScalarAction(1.0, 0.3, 0.48),
        ScalarAction(0.96, 0.02, 0.8),
        ScalarAction(0.96, 0.02, -0.8),
        ScalarAction(1.0, 0.1, 0.5),
    ],
)
def test_the_action_has_grown_by_the_decay_wherever_one_site_is_at_the_end(action):
    """The lowest action of 2 x 2 sites with x_0 = X, found by descent from several starts."""
    extent = field_extent(action, (2, 2), decay=30.0)

    def lowest(fixed):
        best = math.inf
        for size, second in itertools.product((0.0, 1.0, -1.0, extent, -extent), (1, -1)):
            start = size * torch.tensor([1, second, second, 1], dtype=torch.float64)
            rest = start.requires_grad_()
            optimiser = torch.optim.LBFGS([rest], max_iter=200, line_search_fn="strong_wolfe")

            def value(rest=rest):
                flat = rest if fixed is None else torch.cat([rest.new_tensor([fixed]), rest[1:]])
                x = flat.reshape(2, 2)
                on_site = (action.quadratic * x**2 + action.quartic * x**4).sum()
                return on_site - action.hopping * (x * forward_sum(x, 2)).sum()

            def closure(value=value, optimiser=optimiser):
                optimiser.zero_grad()
                loss = value()
                loss.backward()
                return loss

            optimiser.step(closure)
            best = min(best, value().item())
        return best

    assert lowest(extent) - lowest(None) >= 30.0 - 1e-6
