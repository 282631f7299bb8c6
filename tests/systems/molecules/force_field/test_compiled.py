"""Compiled energies against eager ones: values, forces, further derivatives, padding."""

import copy
import pickle
import warnings
from functools import partial

import openmm
import pytest
import torch

from systems.molecules.force_field import CompiledForceField, compile_system
from systems.molecules.force_field import compiled as module
from tests.systems.molecules.force_field.openmm_values import DOUBLE, particles, shaken


@pytest.fixture(autouse=True)
def one_bucket(monkeypatch):
    """Compile few graphs."""
    monkeypatch.setattr(module, "BUCKETS", (8,))


@pytest.fixture(scope="module")
def fields():
    """A small field with bonds, pairs and Born radii, eager and compiled; and configurations."""
    system, positions = particles(4)
    bonds, pairs, born = openmm.HarmonicBondForce(), openmm.NonbondedForce(), openmm.GBSAOBCForce()
    for k in range(4):
        pairs.addParticle((-1) ** k * 0.4, 0.2, 0.5)
        born.addParticle((-1) ** k * 0.4, 0.15, 0.8)
    bonds.addBond(0, 1, 0.24, 1e4)
    pairs.addException(0, 1, 0.0, 1.0, 0.0)
    for force in (bonds, pairs, born):
        system.addForce(force)
    eager = compile_system(system)
    return eager, CompiledForceField(eager), shaken(positions, scales=(0.02,), each=40)


def with_forces(field, x):
    x = x.clone().requires_grad_()
    energy = field(x)
    return energy, *torch.autograd.grad(energy.sum(), x)


@pytest.mark.parametrize("n", [1, 8, 20])
def test_same_energies_and_forces(fields, n):
    """Padded, exactly one bucket, two buckets and a padded one."""
    eager, compiled, x = fields
    for found, expected in zip(
        with_forces(compiled, x[:n]), with_forces(eager, x[:n]), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-9)


def test_energies_alone_and_no_configurations(fields):
    eager, compiled, x = fields
    torch.testing.assert_close(compiled.energy(x), eager(x), rtol=1e-10, atol=1e-9)
    assert compiled.energy(x[:0]).shape == (0,)
    energy, gradient = compiled.energy_and_gradient(x[:0])
    assert (energy.shape, gradient.shape) == ((0,), (0, 4, 3))


def test_any_layout_of_the_positions(fields):
    """Every other frame, one frame repeated, axes in another order: graphs assume none of it."""
    eager, compiled, x = fields
    turned = x[:8].permute(1, 2, 0).contiguous().permute(2, 0, 1)
    for own in (x[:16:2], x[:1].expand(8, -1, -1), turned):
        assert not own.is_contiguous()
        torch.testing.assert_close(compiled.energy(own), eager(own), rtol=1e-10, atol=1e-9)
        for found, expected in zip(
            with_forces(compiled, own), with_forces(eager, own), strict=True
        ):
            torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-9)


def test_single_precision_stays_single(fields):
    eager, compiled, x = fields
    energy, force = with_forces(compiled, x[:3].float())
    assert energy.dtype == force.dtype == torch.float32
    torch.testing.assert_close(energy.double(), eager(x[:3]), rtol=1e-5, atol=1e-3)


def test_derivatives_of_the_force(fields):
    """Weighted energies, the derivative of a loss on the force, and gradgradcheck."""
    eager, compiled, x = fields
    weight = torch.linspace(0.5, 2.0, 3, dtype=DOUBLE)
    found = []
    for field in (eager, compiled):
        y, w = x[:3].clone().requires_grad_(), weight.clone().requires_grad_()
        (slope,) = torch.autograd.grad((w * field(y)).sum(), y, create_graph=True)
        loss = slope.square().sum()
        first = torch.autograd.grad(loss, (y, w), create_graph=True)
        second = torch.autograd.grad(first[0].square().sum(), y)
        found.append((loss, *first, *second))
    for mine, expected in zip(*found, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-8, atol=1e-6)
    few = x[:1].clone().requires_grad_()
    assert torch.autograd.gradgradcheck(lambda y: compiled(y) / 1000, few, atol=1e-4, rtol=1e-3)


def test_without_a_compiler_it_is_eager_and_says_so_once(fields, monkeypatch):
    eager, _, x = fields
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr(module, "_WARNED", set())
    compiled = CompiledForceField(eager)
    with pytest.warns(UserWarning, match="no compiler \\(no-such-compiler\\)"):
        first = compiled.energy(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = compiled.energy(x)
    torch.testing.assert_close(first, eager(x))
    torch.testing.assert_close(again, eager(x))


def test_many_fields_can_be_compiled_and_copies_hold_no_graphs(monkeypatch):
    """torch refuses the ninth compilation of one piece of code. A quick backend serves here."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    system, positions = particles(2)
    bond = openmm.HarmonicBondForce()
    bond.addBond(0, 1, 0.2, 100.0)
    system.addForce(bond)
    x = shaken(positions)
    for _ in range(10):
        compiled = CompiledForceField(compile_system(system))
        torch.testing.assert_close(compiled.energy(x), compiled.field(x))
    other = copy.deepcopy(compiled)
    for name, value in other.field.named_buffers():
        if name.endswith("_k"):
            value.mul_(2.0)
    torch.testing.assert_close(other.energy(x), 2 * compiled.energy(x))
    again = pickle.loads(pickle.dumps(compiled))
    torch.testing.assert_close(again.energy(x), compiled.energy(x))
