import math

import pytest
import torch

from boltzgen.flows import (
    AffineTransform,
    Coupling,
    LogRatio,
    SplineTransform,
    VectorLayout,
    VolumePreservingTransform,
    coupling_flow,
)
from boltzgen.objectives import ExactDerivative
from boltzgen.random import seeded
from tests.boltzgen.flows.points import DTYPES, around
from tests.contracts.case import perturbed

SIZE = {"n_hidden": 16, "n_blocks": 1}


def mixed(n_numbers: int, n_angles: int) -> VectorLayout:
    periodic = torch.arange(n_numbers + n_angles) >= n_numbers
    return VectorLayout(periodic, torch.ones(n_numbers + n_angles), LogRatio(torch.tensor([600.0])))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(4, 3), (1, 1), (3, 0), (0, 3), (1, 0)])
def test_a_new_flow_is_the_identity(generator, shape, dtype):
    """To 100 roundings of the largest value, here 12."""
    layout = mixed(*shape)
    with seeded(generator):
        flow = coupling_flow(layout, [AffineTransform(), SplineTransform()] * 2, **SIZE).to(dtype)
    x = 3 * torch.randn(200, sum(shape), generator=generator, dtype=dtype)
    x = torch.where(layout.periodic, x.clamp(-3.14, 3.14), x)
    c = torch.full((200, 1), 450.0, dtype=dtype)
    tolerance = 100 * 12 * torch.finfo(dtype).eps
    for call in (flow.bijection, flow.bijection.inverse):
        z, logdet = call(x, c)
        assert around(z - x, circular=False).max() < tolerance
        assert logdet.abs().max() < tolerance


def test_every_component_is_mapped_given_others(generator):
    """Each pair of layers moves every component once, and the halves change from pair to pair."""
    with seeded(generator):
        flow = coupling_flow(mixed(9, 5), [AffineTransform()] * 6, **SIZE)
    layers = [layer for layer in flow.bijection.layers if isinstance(layer, Coupling)]
    moved = [frozenset(layer.moved.tolist()) for layer in layers]
    for first, second in zip(moved[::2], moved[1::2], strict=True):
        assert first | second == set(range(14))
        assert not first & second
    assert len(set(moved)) == 6


def test_the_same_seed_gives_the_same_flow():
    def make(seed):
        with seeded(torch.Generator().manual_seed(seed)):
            return coupling_flow(mixed(6, 4), [AffineTransform()] * 4, **SIZE)

    def fingerprint(flow):
        return [value.clone() for value in (*flow.parameters(), *flow.buffers())]

    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, again, other = (fingerprint(make(seed)) for seed in (1, 1, 2))
    assert all(map(torch.equal, first, again))
    assert not all(map(torch.equal, first, other))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_bad_recipes():
    with pytest.raises(ValueError, match="transforms: expected an integer of at least 1"):
        coupling_flow(mixed(2, 2), [], **SIZE)
    free = mixed(1, 0)._replace(controls=LogRatio(torch.ones(0)))
    with pytest.raises(ValueError, match="some input"):
        coupling_flow(free, [AffineTransform()] * 2, **SIZE)
    with pytest.raises(ValueError, match="n_hidden"):
        coupling_flow(mixed(2, 2), [AffineTransform()], n_hidden=0, n_blocks=1)


def test_the_temperature_steerable_flow_needs_no_training(generator):
    """Spec (h) 2: volume preserving and c-independent, with a base of variance c / c0, a flow
    obeys p(x | c) ~ p(x | c0)^(c0 / c): with the energy E(x, c) = -(c0 / c) log p(x | c0) the
    residual of TRADE is zero whatever the weights are, and log Z is that of the base."""
    layout = mixed(4, 0)._replace(controls=LogRatio(torch.ones(1)))
    kinds = [VolumePreservingTransform()] * 4
    flow = perturbed(lambda: coupling_flow(layout, kinds, **SIZE), torch.float64)
    with torch.no_grad():
        for layer in flow.bijection.layers:
            # The last feature is log c; without it the bijection does not depend on c.
            layer.conditioner.first.weight[:, -1] = 0
    x = torch.randn(100, 4, generator=generator, dtype=torch.float64)
    c = 0.3 + 3 * torch.rand(100, 1, generator=generator, dtype=torch.float64)
    own = -flow.log_prob(x, 1.0)
    log_prob, slope = ExactDerivative()(flow, x, c)
    # E = u / c has dE / d log c = -u / c, and its mean is -d/2 - u_min / c with u = u_min + |z|^2/2
    lowest = 2 * math.log(2 * math.pi)
    mean_slope = -2 - lowest / c[:, 0]
    residual = slope - (mean_slope + own / c[:, 0])
    assert residual.abs().max() < 1e-10
    log_z = 2 * (2 * math.pi * c[:, 0]).log() - lowest / c[:, 0]
    assert (log_prob - (-own / c[:, 0] - log_z)).abs().max() < 1e-10
    assert own.std() > 1


@pytest.mark.slow
def test_compiled_and_eager_agree(generator):
    """Values, samples and the gradient of the log-density, in float32; 100 s on a loaded core."""
    flow = perturbed(
        lambda: coupling_flow(mixed(4, 3), [AffineTransform(), SplineTransform(4)], **SIZE),
        torch.float32,
    )
    compiled = torch.compile(flow.log_prob)
    inverse = torch.compile(flow.bijection.inverse)
    angles = 6 * torch.rand(64, 3, generator=generator) - 3
    x = torch.cat([2 * torch.randn(64, 4, generator=generator), angles], 1)
    c = torch.full((64, 1), 450.0)
    found, expected = compiled(x, c), flow.log_prob(x, c)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    parameters = list(flow.parameters())
    for a, b in zip(
        torch.autograd.grad(found.sum(), parameters),
        torch.autograd.grad(expected.sum(), parameters),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)
    for a, b in zip(inverse(x, c), flow.bijection.inverse(x, c), strict=True):
        assert around(a - b, circular=a.dim() == 2).max() < 1e-3
