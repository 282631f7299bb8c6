import pytest
import torch

from systems.capped import CappedTarget
from systems.molecules import TensorTarget, named
from systems.toys import DoubleWell2D


def test_below_the_cap_nothing_changes_and_above_it_grows_like_a_logarithm():
    exact = DoubleWell2D()
    capped = CappedTarget(exact, 5.0, scale=2.0)
    x = 3 * torch.randn(500, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    u, v = exact.potential(x), capped.potential(x)
    low = u <= 5.0
    assert 0 < int(low.sum()) < 500
    assert torch.equal(v[low], u[low])
    expected = 5.0 + 2.0 * torch.log(1 + (u[~low] - 5.0) / 2.0)
    torch.testing.assert_close(v[~low], expected)
    assert torch.equal(capped.touches(u), ~low)


def test_value_and_slope_are_continuous_at_the_cap():
    exact = DoubleWell2D()
    line = torch.linspace(2.0, 4.0, 20_001, dtype=torch.float64)
    x = torch.stack([line, torch.zeros_like(line)], dim=1).requires_grad_()
    u = exact.potential(x.detach())
    at = int((u < 30.0).sum())
    v = CappedTarget(exact, float(u[at]), scale=3.0).potential(x)
    (slope,) = torch.autograd.grad(v.sum(), x)
    assert (v[at + 1] - v[at - 1]).abs() < 0.1
    assert (slope[at + 1, 0] / slope[at - 1, 0] - 1).abs() < 0.01


def test_atoms_on_top_of_each_other_are_finite():
    exact = TensorTarget(named("ala2/vacuum"))
    x = torch.tensor(exact.system.positions)[None].repeat(3, 1, 1)
    x[1, 5] = x[1, 15]
    x[2, 0, 0] = torch.nan
    capped = CappedTarget(exact, 1000.0, scale=10.0)
    x.requires_grad_()
    v = capped.potential(x)
    assert v.isfinite().all()
    assert (exact.potential(x)[1:] == torch.inf).all()
    (force,) = torch.autograd.grad(v.sum(), x)
    assert force.isfinite().all()
    assert (force[1:] == 0).all()
    single = capped.potential(x.detach().float())
    assert single.isfinite().all()


def test_bad_caps_are_named():
    with pytest.raises(ValueError, match="cap: expected a finite number, got inf"):
        CappedTarget(DoubleWell2D(), float("inf"), scale=1.0)
    with pytest.raises(ValueError, match="scale: expected a finite number above 0, got 0"):
        CappedTarget(DoubleWell2D(), 1.0, scale=0.0)
