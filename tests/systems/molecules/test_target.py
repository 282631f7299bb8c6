import pickle

import numpy as np
import openmm
import pytest
import torch

from systems.ledger import EnergyLedger
from systems.molecules import OpenMMTarget, fastest_platform, named
from systems.molecules.evaluation import EnergyPool
from systems.units import GAS_CONSTANT


@pytest.fixture(scope="session")
def shaken(alanine):
    """Eight configurations a little off the minimum, (8, 22, 3) float64."""
    noise = torch.randn((8, 22, 3), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return torch.tensor(alanine.positions) + 0.004 * noise


def direct(molecule, x):
    """Energies and forces straight from OpenMM, kJ/mol and kJ/(mol nm)."""
    context = openmm.Context(
        molecule.system,
        openmm.VerletIntegrator(0.001),
        openmm.Platform.getPlatformByName("Reference"),
    )
    energies, forces = [], []
    for row in x.numpy():
        context.setPositions(row)
        state = context.getState(energy=True, forces=True)
        energies.append(state.getPotentialEnergy()._value)
        forces.append(np.array(state.getForces(asNumpy=True)._value))
    return torch.tensor(energies, dtype=torch.float64), torch.tensor(np.array(forces))


@pytest.mark.parametrize("name", ["ala2/vacuum", "ala2/tsf", "ala2/ff99sbildn-obc2"])
def test_energy_and_force_are_those_of_openmm(name, shaken):
    molecule = named(name)
    target = OpenMMTarget(molecule)
    energies, forces = direct(molecule, shaken)
    x = shaken.clone().requires_grad_()
    u = target.energy(x, 450.0)
    assert torch.allclose(u, energies / (GAS_CONSTANT * 450.0), rtol=1e-14)
    (gradient,) = torch.autograd.grad(u.sum(), x)
    assert torch.allclose(gradient, -forces / (GAS_CONSTANT * 450.0), rtol=1e-12)
    assert target.event_shape == (22, 3)
    assert target.control_names == ("temperature",)


def test_forces_are_minus_the_slope(alanine, shaken):
    target = OpenMMTarget(alanine)
    x = shaken[:1].clone().requires_grad_()
    target.potential(x).sum().backward()
    step = 1e-6
    for atom, axis in [(0, 0), (6, 1), (8, 2), (14, 0), (21, 1)]:
        shift = torch.zeros_like(x)
        shift[0, atom, axis] = step
        with torch.no_grad():
            slope = (target.potential(x + shift) - target.potential(x - shift)) / (2 * step)
        assert x.grad[0, atom, axis].item() == pytest.approx(slope.item(), rel=1e-5, abs=1e-3)


def test_temperature_derivative_against_a_difference(alanine, shaken):
    target = OpenMMTarget(alanine)
    T = torch.linspace(300.0, 600.0, 8, dtype=torch.float64)
    exact = target.denergy_dT(shaken, T)
    difference = (target.energy(shaken, T + 1e-3) - target.energy(shaken, T - 1e-3)) / 2e-3
    assert torch.allclose(exact, difference, rtol=1e-6)
    assert torch.equal(target.denergy_dc(shaken, T[:, None]), exact[:, None])


def test_a_batch_is_its_singles_and_x_is_left_alone(alanine, shaken):
    target = OpenMMTarget(alanine)
    before = shaken.clone()
    together = target.potential(shaken)
    alone = torch.cat([target.potential(row[None]) for row in shaken])
    assert torch.equal(together, alone)
    assert torch.equal(shaken, before)
    assert target.potential(shaken[:0]).shape == (0,)


@pytest.mark.parametrize("n_workers", [1, 2, 3, 20])
def test_results_do_not_depend_on_the_number_of_threads(alanine, shaken, n_workers):
    alone = OpenMMTarget(alanine)
    with OpenMMTarget(alanine, n_workers=n_workers) as target:
        assert torch.equal(target.potential(shaken), alone.potential(shaken))
        gradients = []
        for t in (alone, target):
            x = shaken.clone().requires_grad_()
            t.potential(x).sum().backward()
            gradients.append(x.grad)
        assert torch.equal(*gradients)
    assert torch.equal(target.potential(shaken), alone.potential(shaken))  # works after closing


def test_float32_in_float32_out_computed_in_double(alanine, shaken):
    target = OpenMMTarget(alanine)
    x = shaken.float().requires_grad_()
    u = target.potential(x)
    assert u.dtype == torch.float32
    exact = target.potential(x.detach().double())
    assert torch.equal(u, exact.float())
    u.sum().backward()
    assert x.grad.dtype == torch.float32


def forbidden(shaken):
    x = shaken[:6].clone()
    x[0, 1] = x[0, 0]  # coincident atoms
    x[1] = 0.0  # all of them
    x[2, 3, 1] = float("nan")
    x[3, 3, 1] = float("inf")
    x[4] *= 1e200
    return x


def test_what_is_not_finite_is_forbidden_and_has_no_force(alanine, shaken):
    target = OpenMMTarget(alanine)
    x = forbidden(shaken).requires_grad_()
    u = target.energy(x, 300.0)
    assert torch.isposinf(u[:5]).all()
    assert torch.isfinite(u[5])
    u.sum().backward()
    assert (x.grad[:5] == 0).all()
    assert torch.isfinite(x.grad[5]).all()
    assert (x.grad[5] != 0).any()


def test_even_an_infinite_incoming_gradient_gives_no_nan(alanine, shaken):
    x = forbidden(shaken).requires_grad_()
    (OpenMMTarget(alanine).potential(x) ** 2).sum().backward()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 0.1, 3.0, 1e3, 1e8])
def test_large_distortions_never_give_nan(alanine, scale):
    noise = torch.randn((16, 22, 3), generator=torch.Generator().manual_seed(2))
    x = (scale * noise).requires_grad_()
    u = OpenMMTarget(alanine).potential(x)
    assert not torch.isnan(u).any()
    assert not torch.isneginf(u).any()
    u[torch.isfinite(u)].sum().backward()
    assert not torch.isnan(x.grad).any()


def test_a_second_derivative_raises_even_through_a_plain_sum(alanine, shaken):
    target = OpenMMTarget(alanine)
    x = shaken[:2].clone().requires_grad_()
    (force,) = torch.autograd.grad(target.energy(x, 300.0).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="no second derivatives"):
        (force**2).sum().backward()
    u = target.energy(x, 300.0)
    (force,) = torch.autograd.grad((u**2).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="no second derivatives"):
        force.sum().backward()


def test_forces_are_computed_only_where_they_are_wanted(alanine, shaken, monkeypatch):
    wanted = []
    evaluate = EnergyPool.evaluate

    def spy(self, positions, *, with_forces=False):
        wanted.append(with_forces)
        return evaluate(self, positions, with_forces=with_forces)

    monkeypatch.setattr(EnergyPool, "evaluate", spy)
    target = OpenMMTarget(alanine)
    target.energy(shaken, 300.0)
    x = shaken.clone().requires_grad_()
    target.energy(x, 300.0)
    with torch.no_grad():
        target.energy(x, 300.0)
    assert wanted == [False, True, False]


def test_every_configuration_is_counted_once(alanine, shaken):
    ledger = EnergyLedger()
    target = OpenMMTarget(alanine, ledger=ledger)
    with ledger.phase("training"):
        x = shaken.clone().requires_grad_()
        target.energy_and_denergy_dc(x, 300.0)[0].sum().backward()
    with ledger.phase("evaluation"):
        target.energy(shaken[:3], 300.0)
    assert target.n_energy_calls == 11
    assert ledger.as_dict() == {"training": 8, "evaluation": 3}


def test_it_pickles_without_its_contexts(alanine, shaken):
    target = OpenMMTarget(alanine, n_workers=2)
    u = target.potential(shaken)
    assert torch.equal(pickle.loads(pickle.dumps(target)).potential(shaken), u)


def test_the_other_platform_agrees(shaken):
    molecule = named("ala2/ff96-obc1")
    assert fastest_platform(molecule) == "CPU"
    assert fastest_platform(named("ala2/vacuum")) == "Reference"
    fast = OpenMMTarget(molecule, platform="CPU").potential(shaken)
    assert torch.allclose(fast, OpenMMTarget(molecule).potential(shaken), rtol=1e-4, atol=0.01)


def test_bad_arguments_are_named(alanine, shaken):
    with pytest.raises(ValueError, match=r"platform: expected one of Reference.*got 'GPU'"):
        OpenMMTarget(alanine, platform="GPU")
    with pytest.raises(ValueError, match="n_workers: expected at least 0, got -1"):
        OpenMMTarget(alanine, n_workers=-1)
    target = OpenMMTarget(alanine)
    with pytest.raises(ValueError, match=r"x: expected shape \(B, 22, 3\), got \(8, 66\)"):
        target.energy(shaken.flatten(1), 300.0)
    with pytest.raises(ValueError, match="x: expected a floating-point tensor"):
        target.potential(torch.zeros((1, 22, 3), dtype=torch.long))
    with pytest.raises(ValueError, match="T: expected finite values above 0, got -1"):
        target.energy(shaken, -1.0)
