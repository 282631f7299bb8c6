"""The certificate of free-form flows sees what is wrong and nothing else."""

import math

import pytest
import torch
from torch import nn

from boltzgen.flows import StandardNormal
from boltzgen.flows.free_form import FreeFormFlow, round_trip
from tests.boltzgen.flows.maps import Bounded, Scale
from tests.boltzgen.flows.test_free_form import field_flow

F64 = torch.float64


class Fold(nn.Module):
    """z^3 - 3 z: three z for every x between -2 and 2."""

    def forward(self, z, c):
        return z**3 - 3 * z


class OuterBranch(nn.Module):
    """An inverse of `Fold` that knows of the outermost z alone."""

    def forward(self, x, c):
        return x.sign() * (1.5 + x.abs() / 3)


def data(generator, n=500, dims=1):
    return torch.randn(n, dims, generator=generator, dtype=F64), torch.ones(n, 1, dtype=F64)


def test_inverse_networks_pass(generator):
    flow = FreeFormFlow(Scale(0.5), Scale(2.0), StandardNormal((1,), 1))
    found = round_trip(flow, *data(generator), generator=generator)
    assert max(found.data.largest, found.latent.largest, found.tail.largest) < 1e-12
    assert found.log_density_gap.largest < 1e-12
    assert found.is_one_to_one


def test_errors_are_those_of_networks_that_are_no_inverses(generator):
    flow = FreeFormFlow(Scale(0.5), Scale(2.2), StandardNormal((1,), 1))
    x, c = data(generator)
    found = round_trip(flow, x, c, generator=generator)
    assert found.data.largest == pytest.approx(0.1 * x.abs().max().item())
    assert found.tail.median == pytest.approx(1.5 * found.latent.median)
    z = x / 2.2
    gap = (math.log(0.5) - 0.5 * (0.5 * x) ** 2) - (-math.log(2.2) - 0.5 * z**2)
    assert found.log_density_gap.largest == pytest.approx(gap.abs().max().item())
    assert found.is_one_to_one


def test_folds_are_counted(generator):
    flow = FreeFormFlow(OuterBranch(), Fold(), StandardNormal((1,), 1))
    x, c = data(generator, n=2000)
    stream = torch.Generator().manual_seed(1)
    found = round_trip(flow, x, c, generator=stream)
    z = flow.base.sample(c, generator=torch.Generator().manual_seed(1))
    # The guess leads to the outermost branch, beyond which a z between -sqrt 3 and sqrt 3 is.
    inner = z.abs() < math.sqrt(3)
    assert found.n_folded == pytest.approx(int(inner.sum()), rel=0.05)
    assert not found.is_one_to_one


@pytest.mark.parametrize("factor", [1e-4, 1.0, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_to_one_decoders_of_any_scale_do_not_fold(factor, dtype, generator):
    flow = FreeFormFlow(Scale(0.8 / factor), Bent(factor), StandardNormal((1,), 1))
    x, c = flow.sample(torch.ones(500, 1, dtype=dtype), generator=generator), torch.ones(500, 1)
    found = round_trip(flow, x, c.to(dtype), generator=generator)
    assert (found.n_lost, found.n_lost_samples, found.n_folded) == (0, 0, 0)


class Bent(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, z, c):
        return self.factor * (z + 0.2 * z.tanh())


def test_samples_that_newtons_method_does_not_find_are_counted(generator):
    flow = FreeFormFlow(Scale(60.0), Bounded(), StandardNormal((1,), 1))
    x, c = data(generator)
    found = round_trip(flow, 0.1 * x.clamp(-3, 3), c, generator=generator)
    assert found.n_lost_samples > 100
    assert not found.is_one_to_one


def test_points_out_of_reach_are_counted(generator):
    flow = FreeFormFlow(Scale(1.0), Bounded(), StandardNormal((1,), 1))
    x, c = data(generator)
    found = round_trip(flow, x, c, generator=generator)
    assert found.n_lost == int((x.abs() >= 1).sum())
    assert not found.is_one_to_one


def test_it_reads_as_one_line(generator):
    flow = field_flow(generator)
    x, c = data(generator, n=50, dims=3)
    text = str(round_trip(flow, x, c, generator=generator))
    assert "\n" not in text
    assert text.endswith("0 points and 0 samples lost, 0 folded of 50")
    assert "log-densities differ by" in text


def test_bad_input_is_refused(generator):
    flow = field_flow(generator)
    x, c = data(generator, n=5, dims=3)
    with pytest.raises(ValueError, match="x: expected shape"):
        round_trip(flow, x[:, :2], c, generator=generator)
    with pytest.raises(ValueError, match="x: expected"):
        round_trip(flow, x[:1], c[:1], generator=generator)
