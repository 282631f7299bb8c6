"""Angles on the line: the way there and back, and the density on the circle."""

import math

import pytest
import torch

from boltzgen.flows import LogRatio, ScaledBase
from boltzgen.flows.free_form import AngleCut, FreeFormFlow, ResidualField, Rolled, Unrolled
from boltzgen.random import seeded
from tests.boltzgen.flows.test_free_form import F64, shaken

PERIODIC = torch.tensor([False, True, True])
CUT = torch.tensor([7.0, 0.5, -2.0])


def angle_flow(generator, periodic=PERIODIC, cut=CUT):
    where, seen = AngleCut(periodic, cut), LogRatio(torch.ones(1))
    with seeded(generator):
        networks = [ResidualField(len(cut), seen, n_hidden=16, n_blocks=1) for _ in range(2)]
    base = ScaledBase(torch.zeros_like(periodic), torch.ones(1))
    flow = FreeFormFlow(
        Unrolled(networks[0], where), Rolled(networks[1], where), base, canonical=where
    )
    return shaken(flow, generator, 0.1)


def test_there_and_back(generator):
    cut = AngleCut(PERIODIC, CUT.double())
    x = 6 * torch.rand(200, 3, generator=generator, dtype=F64) - 3
    y = cut.unroll(x)
    torch.testing.assert_close(y[:, 0], x[:, 0])
    torch.testing.assert_close(cut.roll(y), cut(x))
    turns = (cut(x) - x) / (2 * math.pi)
    torch.testing.assert_close(turns, turns.round())
    assert (cut(x) >= CUT)[:, 1:].all()
    assert (cut(x) < CUT + 2 * math.pi)[:, 1:].all()


def test_what_lies_on_the_cut_stays_finite():
    for dtype in (torch.float32, F64):
        cut = AngleCut(PERIODIC, CUT.to(dtype))
        y = cut.unroll(CUT.to(dtype)[None])
        assert y.isfinite().all()
        torch.testing.assert_close(cut.roll(y)[0], cut(CUT.to(dtype)[None])[0], rtol=0, atol=1e-5)


def test_whole_turns_make_no_difference(generator):
    flow = angle_flow(generator)
    x = 3 * torch.rand(20, 3, generator=generator, dtype=F64)
    c = torch.full((20, 1), 1.3, dtype=F64)
    turned = x + 2 * math.pi * torch.tensor([0.0, 1.0, -2.0], dtype=F64)
    torch.testing.assert_close(flow.log_prob(turned, c), flow.log_prob(x, c))


def test_the_density_on_the_circle_integrates_to_one(generator):
    flow = angle_flow(generator, torch.tensor([True]), torch.tensor([2.0]))
    theta = (torch.arange(4000, dtype=F64) + 0.5) / 4000 * 2 * math.pi - math.pi
    log_q = flow.log_prob(theta[:, None], torch.full((4000, 1), 0.7, dtype=F64))
    assert log_q.exp().mean().item() * 2 * math.pi == pytest.approx(1, abs=1e-4)


def test_samples_know_their_density(generator):
    flow = angle_flow(generator)
    c = torch.full((50, 1), 0.8, dtype=F64)
    x, log_q = flow.sample_and_log_prob(c, generator=generator)
    torch.testing.assert_close(flow.log_prob(x, c), log_q)
    torch.testing.assert_close(flow.canonical(x), x)


def test_cuts_are_kept_with_the_weights(generator):
    flow, other = angle_flow(generator), angle_flow(generator, cut=torch.zeros(3))
    other.load_state_dict(flow.state_dict())
    torch.testing.assert_close(other.canonical.cut[1:], CUT[1:].double())


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"cut: expected shape \(3,\).*got \(2,\)"):
        AngleCut(PERIODIC, torch.zeros(2))
