"""What the data stage refuses."""

import copy
from types import SimpleNamespace

import numpy as np
import openmm
import pytest
import torch

from pipeline.model import build_chart
from pipeline.stages import cap_of, capped, check_relabelling
from pipeline.summary import weight_above
from systems.charts import ChartedTarget
from systems.molecules import MolecularSystem, TensorTarget, named
from systems.units import GAS_CONSTANT


def test_a_force_field_that_tells_methyl_hydrogens_apart_is_refused():
    """A spring on one hydrogen of the first methyl group."""
    plain = named("ala2/vacuum")
    noise = np.random.default_rng(0).normal(0, 0.004, (1000, plain.n_atoms, 3))
    x = (plain.positions + noise).astype(np.float32)
    # Half of the frames with two hydrogens of that group exchanged, as dynamics would do.
    methyl = [k for k, name in enumerate(plain.atom_names) if name.startswith("ACE1:H")][:2]
    x[::2, methyl] = x[::2, methyl[::-1]]
    frames = SimpleNamespace(frames=lambda: x)
    chart = build_chart(plain, x)
    check_relabelling(plain, chart, frames)
    system = copy.deepcopy(plain.system)
    spring = openmm.CustomBondForce("100*r^2")
    spring.addBond(methyl[0], plain.n_atoms - 1, [])
    system.addForce(spring)
    marked = MolecularSystem("marked", system, plain.topology, plain.positions)
    with pytest.raises(ValueError, match="energy changes by up to .* hydrogens of methyl groups"):
        check_relabelling(marked, chart, frames)


def test_training_sees_capped_energies_and_weights_do_not():
    """A cap of 1 kT above the mean of the data touches half the frames, more or less."""
    system = named("ala2/vacuum")
    rng = np.random.default_rng(0)
    x = (system.positions + rng.normal(0, 0.004, (700, system.n_atoms, 3))).astype(np.float32)
    chart = build_chart(system, x)
    exact = ChartedTarget(TensorTarget(system), chart)
    u = exact.target.potential(torch.from_numpy(x).double())
    config = SimpleNamespace(objective=SimpleNamespace(energy_cap=1.0), high=600.0)
    data = SimpleNamespace(training=SimpleNamespace(potential=u.numpy()))
    cap = cap_of(config, data)
    assert cap == pytest.approx(float(u.mean()) + GAS_CONSTANT * 600.0)
    z, _ = chart.to_internal(torch.from_numpy(x).double())
    change = exact.energy(z, 600.0) - capped(exact, cap, config).energy(z, 600.0)
    above = u > cap
    assert 70 < int(above.sum()) < 630
    assert (change[above] > 0).all()
    assert change[~above].abs().max() < 1e-9
    config.objective.energy_cap = None
    assert cap_of(config, data) is None
    assert capped(exact, None, config) is exact
    samples = SimpleNamespace(log_w=np.zeros(700), potential=u.numpy())
    evaluation = SimpleNamespace(points=[SimpleNamespace(samples=samples, temperature=600.0)])
    assert weight_above(evaluation, cap) == [pytest.approx(float(above.double().mean()))]
