import math

import pytest
import torch

from systems.lattices import CanonicalPhi4, HoppingPhi4, KineticPhi4
from systems.lattices.exact import scalar_moments
from systems.lattices.exact.scalar_action import ScalarAction

DOUBLE = torch.float64


def draw(shape, n=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, *shape, generator=generator, dtype=DOUBLE)


def by_hand(x, site, bond):
    """Sum of a function of each site and one of each forward pair, in plain loops."""
    total = torch.zeros(len(x), dtype=DOUBLE)
    shape = x.shape[1:]
    for index in torch.cartesian_prod(*[torch.arange(n) for n in shape]).reshape(-1, len(shape)):
        here = x[(slice(None), *index.tolist())]
        total += site(here)
        for axis, length in enumerate(shape):
            step = index.clone()
            step[axis] = (step[axis] + 1) % length
            total += bond(here, x[(slice(None), *step.tolist())])
    return total


@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 2), (2, 3, 2)])
def test_the_three_actions_are_what_their_docstrings_say(shape):
    x = draw(shape)
    found = HoppingPhi4(shape).energy(x, torch.tensor([[0.3, 0.1]], dtype=DOUBLE).expand(6, 2))
    expected = by_hand(x, lambda p: 0.8 * p**2 + 0.1 * p**4, lambda p, q: -0.6 * p * q)
    torch.testing.assert_close(found, expected)
    found = KineticPhi4(shape).energy(x, torch.tensor([[-1.5, 0.7]], dtype=DOUBLE).expand(6, 2))
    expected = by_hand(x, lambda p: -1.5 * p**2 + 0.7 * p**4, lambda p, q: (p - q) ** 2)
    torch.testing.assert_close(found, expected)
    c = torch.tensor([[-0.4, 3.0, 1.3]], dtype=DOUBLE).expand(6, 3)
    found = CanonicalPhi4(shape).energy(x, c)
    expected = by_hand(x, lambda p: -0.2 * p**2 + 3 / 24 * p**4, lambda p, q: 0.65 * (p - q) ** 2)
    torch.testing.assert_close(found, expected)


def test_controls_are_the_couplings_that_are_not_fixed():
    assert HoppingPhi4((4, 4)).control_names == ("kappa", "lambda")
    assert HoppingPhi4((4, 4), {"lambda": 0.02}).control_names == ("kappa",)
    assert HoppingPhi4((4, 4), {"kappa": 0.2}).control_names == ("lambda",)
    fixed = HoppingPhi4((4, 4), {"kappa": 0.2, "lambda": 0.1})
    free = HoppingPhi4((4, 4))
    x = draw((4, 4))
    expected = free.energy(x, torch.tensor([[0.2, 0.1]], dtype=DOUBLE).expand(6, 2))
    torch.testing.assert_close(fixed.energy(x, torch.empty(6, 0, dtype=DOUBLE)), expected)
    assert fixed.denergy_dc(x, torch.empty(6, 0, dtype=DOUBLE)).shape == (6, 0)


def test_energy_is_invariant_under_the_symmetries_of_the_torus():
    target = HoppingPhi4((4, 4), {"lambda": 0.02})
    x = draw((4, 4))
    energy = target.energy(x, 0.27)
    for other in (-x, x.roll(1, 1), x.roll(3, 2), x.flip(1), x.transpose(1, 2)):
        torch.testing.assert_close(target.energy(other, 0.27), energy)


def test_partition_function_of_two_by_two_from_a_grid():
    """A plain sum over a grid of the target's own energy against the exact quadrature."""
    target = HoppingPhi4((2, 2), {"lambda": 0.1})
    nodes = torch.linspace(-4.5, 4.5, 31, dtype=DOUBLE)
    x = torch.cartesian_prod(nodes, nodes, nodes, nodes).reshape(-1, 2, 2)
    log_z = (-target.energy(x, 0.2)).logsumexp(0) + 4 * math.log(9 / 30)
    exact = scalar_moments(ScalarAction(0.8, 0.1, 0.4), (2, 2)).moments.log_partition
    assert float(log_z) == pytest.approx(exact, abs=1e-7)


@pytest.mark.parametrize(
    ("kappa", "quartic", "good"),
    [
        (0.24, 0.0, True), (0.25, 0.0, False), (0.3, 0.0, False), (0.3, 1e-6, True),
        (-0.24, 0.0, True), (-0.26, 0.0, False), (0.1, -0.01, False)
    ],
)  # fmt: skip
def test_actions_that_are_not_bounded_below_are_refused(kappa, quartic, good):
    target = HoppingPhi4((4, 4))
    c = torch.tensor([[kappa, quartic]], dtype=DOUBLE).expand(6, 2)
    if good:
        target.energy(draw((4, 4)), c)
        return
    with pytest.raises(ValueError, match=rf"unbounded at kappa = {kappa:g}, lambda = {quartic:g}"):
        target.energy(draw((4, 4)), c)


def test_staggered_modes_decide_on_odd_rings():
    """On a ring of 3 the softest mode at negative kappa is at cos k = -1/2, not at -1."""
    x = draw((3,))
    HoppingPhi4((3,), {"lambda": 0.0}).energy(x, -0.9)
    with pytest.raises(ValueError, match="unbounded"):
        HoppingPhi4((3,), {"lambda": 0.0}).energy(x, -1.1)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: HoppingPhi4((4, 4, 4, 4)), "shape: expected 1 to 3 lengths"),
        (lambda: HoppingPhi4(()), "shape: expected 1 to 3 lengths"),
        (lambda: HoppingPhi4((1, 4)), "lengths of at least 2"),
        (lambda: HoppingPhi4((4.0, 4)), "lengths of at least 2"),
        (lambda: HoppingPhi4((4,), {"mu": 1.0}), "fixed: expected finite values of kappa, lambda"),
        (lambda: HoppingPhi4((4,), {"lambda": math.inf}), "fixed: expected finite values"),
        (lambda: HoppingPhi4((4,)).check_couplings({"kappa": 1.0}), "couplings: expected kappa"),
        (lambda: HoppingPhi4((4,)).energy(draw((4,)), 0.2), r"c: expected shape \(6, 2\)"),
        (lambda: HoppingPhi4((4,), {"lambda": 0.1}).denergy_dT(draw((4,)), 1.0), "T: expected"),
    ],
)
def test_bad_input_is_named(make, complaint):
    with pytest.raises(ValueError, match=complaint):
        make()
