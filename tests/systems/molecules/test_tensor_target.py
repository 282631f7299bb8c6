"""The tensor target against the OpenMM target, and at geometries without an energy."""

import pytest
import torch

from systems.ledger import EnergyLedger
from systems.molecules import OpenMMTarget, TensorTarget, named
from systems.units import GAS_CONSTANT

DOUBLE = torch.float64


def around(molecule, n=6, scale=0.004):
    noise = torch.randn(
        (n, molecule.n_atoms, 3), generator=torch.Generator().manual_seed(1), dtype=DOUBLE
    )
    return torch.tensor(molecule.positions.copy()) + scale * noise


@pytest.mark.parametrize("name", ["ala2/vacuum", "ala2/tsf", "ala2/ff96-obc1"])
def test_same_target_as_openmm(name):
    molecule = named(name)
    ours, theirs = TensorTarget(molecule), OpenMMTarget(molecule)
    assert ours.event_shape == theirs.event_shape
    assert ours.control_names == theirs.control_names
    x = around(molecule)
    found = []
    for target in (ours, theirs):
        y = x.clone().requires_grad_()
        energy = target.energy(y, 450.0)
        found.append((energy, *torch.autograd.grad(energy.sum(), y)))
    for mine, reference in zip(*found, strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-9, atol=1e-9)
    slope, expected = (target.denergy_dT(x, 450.0) for target in (ours, theirs))
    torch.testing.assert_close(slope, expected, rtol=1e-9, atol=1e-12)
    with OpenMMTarget(molecule):
        theirs.close()


def test_chunks_make_no_difference_and_calls_are_booked(alanine):
    ledger = EnergyLedger()
    target, whole = TensorTarget(alanine, chunk=4, ledger=ledger), TensorTarget(alanine)
    x = around(alanine, n=10)
    with ledger.phase("training"):
        torch.testing.assert_close(target.potential(x), whole.potential(x), rtol=1e-13, atol=0)
    assert target.n_energy_calls == 10
    assert ledger["training"] == 10
    assert whole.potential(x[:0]).shape == (0,)
    with pytest.raises(ValueError, match="chunk: expected at least 1, got 0"):
        TensorTarget(alanine, chunk=0)


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_no_energy_is_infinite_without_force_and_never_nan(alanine, dtype):
    """Two atoms on top of each other, all atoms at one point, infinity, NaN; and a sound one."""
    x = around(alanine, n=6).to(dtype)
    x[0, 3] = x[0, 17]
    x[1] = 0.1
    x[2, 4, 1] = torch.inf
    x[3, 4, 1] = torch.nan
    x[4, 3] = x[4, 17] + 1e-9
    x.requires_grad_()
    energy = TensorTarget(alanine).potential(x)
    assert not energy.isnan().any()
    assert energy[:4].tolist() == [torch.inf] * 4
    assert energy[4] > 1e10
    (gradient,) = torch.autograd.grad(energy[5], x, retain_graph=True)
    (together,) = torch.autograd.grad(energy.sum(), x)
    assert together.isfinite().all()
    assert bool((together[:4] == 0).all())
    torch.testing.assert_close(together[5], gradient[5])
    assert gradient[5].abs().max() > 100


def test_forces_can_be_differentiated(alanine):
    """A loss on the force has a gradient: that of |dU/dx|^2 is 2 H dU/dx."""
    target = TensorTarget(alanine)
    x = around(alanine, n=1).requires_grad_()
    (force,) = torch.autograd.grad(target.potential(x).sum(), x, create_graph=True)
    (gradient,) = torch.autograd.grad(force.square().sum(), x)
    hessian = torch.autograd.functional.hessian(lambda y: target.potential(y).sum(), x.detach())
    expected = 2 * torch.einsum("abcdef,def->abc", hessian, force.detach())
    torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-6)


def test_energy_is_in_units_of_kt(alanine):
    target, x = TensorTarget(alanine), around(alanine, n=2)
    torch.testing.assert_close(target.energy(x, 300.0), target.potential(x) / (GAS_CONSTANT * 300))
