"""Each alarm fires on a case that was made to fail and is silent on a good one."""

import math

import pytest
import torch
from torch import Generator

from boltzgen import flows, objectives, training
from boltzgen.objectives import CausalSampler, ControlGrid, ExpectationTable
from boltzgen.protocols import Batch
from boltzgen.random import seeded
from boltzgen.training import (
    AlarmedObjective,
    CollapseAlarm,
    ResidualAlarm,
    TailAlarm,
    TransitionAlarm,
)
from systems.toys import HarmonicWell, ManyWell
from tests.boltzgen.objectives.families import DOUBLE, PowerNormal, batch

WELLS = ManyWell(2)
GRID = ControlGrid(torch.linspace(0.4, 1.0, 7, dtype=DOUBLE), (6,))


class At(objectives.LogUniform):
    """T = 1 alone."""

    def __init__(self):
        super().__init__(1.0, 1.0)


def well_samples(n, seed=0):
    return WELLS.sample_exact(1.0, n, generator=Generator().manual_seed(seed)).float()


def fitted(x, objective, n_steps, flow=None):
    layout = flows.VectorLayout(
        torch.zeros(2, dtype=torch.bool), torch.ones(2), flows.LogRatio(torch.ones(1))
    )
    if flow is None:
        with seeded(Generator().manual_seed(1)):
            flow = flows.coupling_flow(
                layout, [flows.SplineTransform()] * 4, n_hidden=32, n_blocks=1
            )
    trainer = training.Trainer(
        flow, objective, training.RandomBatches(x, torch.ones(len(x), 1), batch_size=256),
        training.TrainConfig(n_steps=n_steps, learning_rate=5e-3),
        generator=Generator().manual_seed(2),
    )  # fmt: skip
    for _ in trainer:
        pass
    return flow


@pytest.fixture(scope="module")
def good():
    return fitted(well_samples(20_000), objectives.ForwardKL(), 400)


@pytest.fixture(scope="module")
def collapsed():
    """Backward KL from a start in one of two wells: it never learns of the other."""
    x = well_samples(20_000)
    begun = fitted(x[x[:, 0] > 0], objectives.ForwardKL(), 150)
    return fitted(x, objectives.ReverseKL(WELLS, At(), n_samples=256), 500, begun)


@pytest.fixture
def alarm():
    x = well_samples(2000, seed=7)
    return CollapseAlarm(WELLS, Batch(x, torch.ones(len(x), 1)), n_samples=2000)


def test_a_collapsed_many_well_is_seen_on_samples_of_the_target(alarm, collapsed, generator):
    metrics = alarm(collapsed, generator=generator)
    assert metrics["alarm_reverse_ess"] > 0.5
    assert metrics["alarm_forward_ess"] < 0.1 * metrics["alarm_reverse_ess"]
    (text,) = alarm.warnings
    assert text.startswith("At temperature = 1 the reverse ESS is")
    assert "misses a part of the target" in text


def test_a_good_flow_of_many_wells_is_not(alarm, good, generator):
    metrics = alarm(good, generator=generator)
    assert metrics["alarm_reverse_ess"] > 0.5
    assert metrics["alarm_forward_ess"] > 0.5
    assert alarm.warnings == ()


def test_the_numbers_of_gaussians_are_exact(generator):
    """N(0, s^2) for N(0, 1) in two dimensions: ESS = (2 s^2 - 1) / s^4 for both directions, and
    the sum of both divergences (s^2 + 1 / s^2 - 2)."""
    s2, n = 1.2, 40_000
    target, density = HarmonicWell(n_dims=2), PowerNormal(b=math.log(s2) / 2)
    x = torch.randn(n, 2, generator=generator, dtype=DOUBLE)
    one = CollapseAlarm(target, Batch(x, torch.ones(n, 1, dtype=DOUBLE)), n_samples=n)
    metrics = one(density, generator=generator)
    exact = (2 * s2 - 1) / s2**2
    assert metrics["alarm_reverse_ess"] == pytest.approx(exact, abs=0.005)
    assert metrics["alarm_forward_ess"] == pytest.approx(exact, abs=0.005)
    assert metrics["alarm_kl"] == pytest.approx(s2 + 1 / s2 - 2, abs=0.01)
    assert one.warnings == ()


def test_heavy_tails_are_named_and_light_ones_not(generator):
    """w ~ exp(a z^2) with a = (1 - 1 / s^2) / 2 has a variance for s^2 < 2 wide targets only."""
    levels = torch.tensor([[0.8], [1.0]], dtype=DOUBLE)
    one = TailAlarm(HarmonicWell(n_dims=2), levels, n_samples=4000)
    assert one(PowerNormal(b=0.1), generator=generator)["alarm_khat"] < 0.5
    assert one.warnings == ()
    assert one(PowerNormal(b=-0.9), generator=generator)["alarm_khat"] > 0.7
    assert [text[:21] for text in one.warnings] == [
        "At temperature = 0.8 ",
        "At temperature = 1 Pa",
    ]


def test_a_table_on_few_samples_is_named(generator):
    """A flow that does not narrow with T has ever less overlap with a target that does."""
    table = ExpectationTable(GRID, n_samples=500)
    one = TransitionAlarm(table)
    assert one(PowerNormal(), generator=generator) == {}
    table.refresh(PowerNormal(n_dims=30), HarmonicWell(n_dims=30), like=batch().x,
                  generator=generator)  # fmt: skip
    metrics = one(PowerNormal(), generator=generator)
    assert metrics["alarm_table_worth"] == pytest.approx(500.0)
    assert one.warnings == ()
    # c^2 Var[dE/dc] = Var(U) / T^2 = 15 in 30 dimensions, at all temperatures.
    assert metrics["alarm_table_peak"] == pytest.approx(15.0, rel=0.5)
    far = ExpectationTable(GRID, n_samples=500)
    far.refresh(PowerNormal(a=0.0, n_dims=30), HarmonicWell(n_dims=30), like=batch().x,
                generator=generator)  # fmt: skip
    two = TransitionAlarm(far)
    assert two(PowerNormal(), generator=generator)["alarm_table_worth"] < 30
    (text,) = two.warnings
    assert text.startswith("From c = 0.4 to ")


@pytest.mark.parametrize(
    ("losses", "says"),
    [
        ([0.5, 0.3, 0.2, 0.1, 0.01, 0.01, 0.01], True),
        ([0.02] * 7, False),
        ([1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5, 1e-5], False),
        ([0.0] * 7, False),
    ],
    ids=["grows", "level", "small everywhere", "never visited"],
)
def test_a_residual_that_grows_with_the_distance_is_named(losses, says, generator):
    sampler = CausalSampler(GRID)
    sampler.losses.copy_(torch.tensor(losses, dtype=DOUBLE))
    one = ResidualAlarm(sampler, GRID.values)
    metrics = one(PowerNormal(), generator=generator)
    assert bool(one.warnings) == says
    if says:
        assert metrics["alarm_residual_growth"] == pytest.approx((0.5 + 0.3 + 0.2) / 3 / 0.01)
        assert "c from 0.4 to 0.6" in one.warnings[0]


def test_alarms_do_not_change_training(generator):
    """The same weights with and without; their numbers are in the metrics of their steps."""
    target, ends, logs = HarmonicWell(n_dims=2), [], []
    for watched in (False, True):
        density = PowerNormal(a=0.5, b=0.3)
        objective = objectives.ReverseKL(target, objectives.LogUniform(0.5, 1.0), n_samples=16)
        tail = TailAlarm(target, torch.tensor([[0.5]], dtype=DOUBLE), n_samples=100)
        whole = AlarmedObjective(objective, {"tail": tail}, every=3) if watched else objective
        rows = torch.zeros(10, 2, dtype=DOUBLE)
        batches = training.RandomBatches(rows, torch.ones(10, 1, dtype=DOUBLE), batch_size=2)
        trainer = training.Trainer(
            density, whole, batches, training.TrainConfig(n_steps=7, learning_rate=0.05),
            generator=Generator().manual_seed(4),
        )  # fmt: skip
        logs.append([record.metrics for record in trainer])
        ends.append(density.b.item())
    assert ends[0] == ends[1]
    assert ["alarm_khat" in row for row in logs[1]] == [False, False, True] * 2 + [False]
    assert whole.warnings == tail.warnings


def test_bad_input_is_refused():
    x = torch.zeros(3, 2)
    wrong = {
        "n_samples": lambda: CollapseAlarm(WELLS, Batch(x, x[:, :1]), n_samples=1),
        "reference": lambda: CollapseAlarm(WELLS, Batch(x[:1], x[:1, :1]), n_samples=2),
        "controls": lambda: TailAlarm(WELLS, torch.zeros(0, 1), n_samples=100),
        "n_samples: expected": lambda: TailAlarm(WELLS, torch.ones(1, 1), n_samples=3),
        "least": lambda: TransitionAlarm(ExpectationTable(GRID, n_samples=2), least=0.0),
        "values": lambda: ResidualAlarm(CausalSampler(GRID), torch.ones(3)),
        "every": lambda: AlarmedObjective(objectives.ForwardKL(), {}, every=0),
    }
    for name, make in wrong.items():
        with pytest.raises(ValueError, match=name):
            make()
