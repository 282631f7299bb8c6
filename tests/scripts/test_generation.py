import numpy as np
import pytest
import torch

from boltzgen.storage import read_samples
from pipeline.generation import draw, log_density, log_weights_of_frames
from pipeline.model import load_model
from pipeline.run_directory import RunDirectory
from systems.charts import ChartedTarget
from systems.ledger import EnergyLedger
from systems.molecules import OpenMMTarget
from systems.units import GAS_CONSTANT

pytestmark = pytest.mark.openmm

N = 2500  # more than one chunk


@pytest.fixture(scope="module")
def ledger():
    return EnergyLedger()


@pytest.fixture(scope="module")
def drawn(smoke, ledger):
    run = RunDirectory(smoke.path)
    model = load_model(run)
    target = ChartedTarget(OpenMMTarget(run.load_system(), ledger=ledger), model.chart)
    with ledger.phase("evaluation"):
        samples = draw(model, target, 500.0, N, generator=torch.Generator().manual_seed(3))
    return model, samples


def test_all_columns_have_a_row_for_each_sample(drawn, ledger):
    model, samples = drawn
    assert samples.z.shape == (N, *model.chart.event_shape)
    assert samples.x.shape == (N, 22, 3)
    for column in (samples.z, samples.x, samples.potential, samples.log_volume, samples.log_q):
        assert column.dtype == np.float64
        assert len(column) == N
    assert ledger["evaluation"] == N


def test_log_q_is_the_density_of_the_samples(drawn):
    model, samples = drawn
    assert np.allclose(log_density(model, samples.z, 500.0), samples.log_q, atol=1e-8)
    assert not np.allclose(log_density(model, samples.z, 400.0), samples.log_q, atol=1e-2)


def test_weights_are_the_same_from_either_side(drawn):
    """As samples of the model, or as if their positions were frames of a simulation."""
    model, samples = drawn
    usable = np.flatnonzero(samples.potential < 200)
    assert usable.size > N / 2
    frames = log_weights_of_frames(model, samples.x[usable], samples.potential[usable], 500.0)
    assert np.allclose(frames, samples.log_w[usable], atol=1e-5)


def test_the_reduced_energy_changes_with_the_temperature_as_it_should(drawn):
    _, samples = drawn
    difference = samples.reduced_energy(400.0) - samples.reduced_energy(500.0)
    expected = samples.potential / GAS_CONSTANT * (1 / 400 - 1 / 500)
    finite = np.isfinite(samples.potential) & (np.abs(samples.potential) < 1e6)
    assert np.allclose(difference[finite], expected[finite])
    assert np.allclose(samples.log_w, -samples.reduced_energy(500.0) - samples.log_q)


def test_the_saved_samples_are_those_of_the_model(smoke):
    saved = read_samples(smoke.path / "samples.h5")
    model = load_model(RunDirectory(smoke.path))
    chosen = np.flatnonzero((saved.c[:, 0] == 600.0) & (saved.energy < 50))[:200]
    found = log_weights_of_frames(
        model, np.asarray(saved.x[chosen], dtype=float), saved.energy[chosen], 600.0
    )
    assert np.abs(found - saved.log_w[chosen]).max() < 0.05  # x is float32
