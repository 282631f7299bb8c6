"""The watch warns where the likelihood gets worse under a falling loss, and only there."""

import math

import pytest
import torch

from boltzgen.flows import StandardNormal
from boltzgen.flows.free_form import FreeFormFlow
from boltzgen.objectives import ForwardKL
from boltzgen.protocols import Batch
from boltzgen.training import LikelihoodWatch, WatchedObjective
from tests.boltzgen.flows.maps import Bounded, Scale

F64 = torch.float64


def flow_of(width):
    return FreeFormFlow(Scale(1 / width), Scale(width), StandardNormal((2,), 1))


@pytest.fixture
def held_out(generator):
    return Batch(torch.randn(200, 2, generator=generator, dtype=F64), torch.ones(200, 1, dtype=F64))


def watched(held_out, history):
    watch = LikelihoodWatch(held_out, every=10)
    for number, (density, loss) in enumerate(history, 1):
        watch(density, 10 * number, loss)
    return watch


def test_looks_hold_the_exact_likelihood(held_out):
    watch = LikelihoodWatch(held_out, every=5)
    assert [watch(flow_of(2.0), step, float(step)) is None for step in range(1, 5)] == [True] * 4
    look = watch(flow_of(2.0), 5, 5.0)
    square = held_out.x.square().sum(1)
    rows = math.log(2 * math.pi) + 2 * math.log(2.0) + square / 8
    assert look.nll == pytest.approx(rows.mean().item())
    assert look.error == pytest.approx(rows.std().item() / math.sqrt(200))
    assert look.loss == pytest.approx(3.0)


def test_a_likelihood_that_gets_worse_under_a_falling_loss_is_named(held_out):
    watch = watched(held_out, [(flow_of(3.0), 5.0), (flow_of(1.0), 4.0), (flow_of(1.4), 3.0)])
    assert watch.warning.startswith("From step 20 to 30 the loss fell from 4 to 3 while")


def test_one_that_follows_the_loss_is_not(held_out):
    assert watched(held_out, [(flow_of(3.0), 5.0), (flow_of(1.0), 4.0)]).warning is None
    worse = [(flow_of(1.0), 4.0), (flow_of(1.4), 4.5)]
    assert watched(held_out, worse).warning is None
    assert LikelihoodWatch(held_out, every=1).warning is None


def test_what_it_remembers_is_part_of_its_state(held_out):
    history = [(flow_of(3.0), 5.0), (flow_of(1.0), 4.0), (flow_of(1.4), 3.0)]
    whole, first = watched(held_out, history), watched(held_out, history[:2])
    first(flow_of(1.4), 25, 2.0)
    second = LikelihoodWatch(held_out, every=10)
    second.load_state_dict(first.state_dict())
    second(flow_of(1.4), 30, 4.0)
    assert second.last == whole.last
    assert second.best == whole.best
    assert second.warning == whole.warning


def test_changes_within_their_error_are_not_named(held_out):
    best = float(held_out.x.square().mean().sqrt())
    near = watched(held_out, [(flow_of(best), 4.0), (flow_of(best * 1.01), 3.9)])
    assert near.warning is None


def test_data_without_density_are_named(held_out):
    lost = FreeFormFlow(Scale(1.0), Bounded(), StandardNormal((2,), 1))
    watch = watched(held_out, [(flow_of(1.0), 4.0), (lost, 3.0)])
    assert watch.last.nll == math.inf
    assert "rose by inf nats" in watch.warning


def test_bad_input_is_refused(held_out):
    with pytest.raises(ValueError, match="held_out"):
        LikelihoodWatch(Batch(held_out.x[:1], held_out.c[:1]), every=1)
    with pytest.raises(ValueError, match="every"):
        LikelihoodWatch(held_out, every=0)


def test_a_watched_objective_shows_its_looks_and_changes_nothing(held_out, generator):
    flow, watch = flow_of(2.0), LikelihoodWatch(held_out, every=2)
    objective = WatchedObjective(ForwardKL(), watch, metric="nll")
    for step in range(4):
        found = objective(flow, held_out, step=step, generator=generator)
        alone = ForwardKL()(flow, held_out, step=step, generator=generator)
        assert found.loss == alone.loss
        assert ("held_out_nll" in found.metrics) == (step in (1, 3))
    assert (watch.best.step, watch.last.step) == (2, 4)
    assert float(found.metrics["held_out_nll"]) == pytest.approx(float(alone.loss))


def test_data_without_density_are_looked_at_and_not_logged(generator):
    far = Batch(torch.full((2, 2), 1e6, dtype=F64), torch.ones(2, 1, dtype=F64))
    flow = FreeFormFlow(Bounded(), Bounded(), StandardNormal((2,), 1))
    near = Batch(0 * far.x, far.c)
    watch = LikelihoodWatch(far, every=1)
    objective = WatchedObjective(ForwardKL(), watch, metric="nll")
    found = objective(flow, near, step=0, generator=generator)
    assert "held_out_nll" not in found.metrics
    assert math.isinf(watch.last.nll)


def test_a_metric_that_is_not_there_is_an_error(held_out, generator):
    objective = WatchedObjective(ForwardKL(), LikelihoodWatch(held_out, every=1), metric="loss")
    with pytest.raises(ValueError, match="metric: expected one of nll, got 'loss'"):
        objective(flow_of(2.0), held_out, step=0, generator=generator)
