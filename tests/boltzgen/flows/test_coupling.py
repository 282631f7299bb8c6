import math

import pytest
import torch

from boltzgen.flows import (
    AffineTransform,
    Chain,
    CircularSplineTransform,
    Coupling,
    Features,
    LogRatio,
    Part,
    ResidualMLP,
    SplineTransform,
    VectorLayout,
    VolumePreservingTransform,
)
from boltzgen.random import seeded
from tests.contracts.case import perturbed

LAYOUT = VectorLayout(
    torch.tensor([False, True, False, True, False]),
    torch.tensor([1.0, 1.0, 1.0, 3.0, 1.0]),
    LogRatio(torch.tensor([600.0])),
)
SIZE = {"n_hidden": 8, "n_blocks": 1}
AFFINE = AffineTransform()


def two_parts() -> Coupling:
    parts = [Part((0, 4), AFFINE), Part((3,), CircularSplineTransform(3))]
    return Coupling(LAYOUT, parts, **SIZE)


def draw(n, g):
    x = torch.randn(n, 5, generator=g, dtype=torch.float64)
    return x, 300 + 300 * torch.rand(n, 1, generator=g, dtype=torch.float64)


def test_only_the_named_components_move_and_only_the_others_are_seen(generator):
    layer = perturbed(two_parts, torch.float64)
    x, c = draw(1, generator)
    z, _ = layer(x, c)
    assert torch.equal(z[:, [1, 2]], x[:, [1, 2]])
    assert bool((z[:, [0, 3, 4]] != x[:, [0, 3, 4]]).all())
    matrix = torch.autograd.functional.jacobian(lambda v: layer(v, c)[0], x)[0, :, 0]
    moved = matrix[[0, 3, 4]][:, [0, 3, 4]]
    assert torch.equal(moved, torch.diag(moved.diagonal()))
    assert bool((matrix[[0, 3, 4]][:, [1, 2]] != 0).all())
    assert torch.equal(matrix[[1, 2]], torch.eye(5, dtype=torch.float64)[[1, 2]])


def test_each_part_has_its_own_transform(generator):
    """The parameters handed to each transform are the conditioner's, in the order of the parts."""
    layer = perturbed(two_parts, torch.float64)
    x, c = draw(6, generator)
    raw = layer.conditioner(layer.features(x[:, [1, 2]], c))
    z, logdet = layer(x, c)
    numbers, first = AFFINE.forward(x[:, [0, 4]], raw[:, :4].reshape(6, 2, 2))
    angle, second = CircularSplineTransform(3).forward(x[:, [3]], raw[:, 4:].reshape(6, 1, 10))
    assert torch.equal(z[:, [0, 4]], numbers)
    assert torch.equal(z[:, [3]], angle)
    torch.testing.assert_close(logdet, first + second, rtol=1e-14, atol=0)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([Part((0, 1), AFFINE), Part((1,), AFFINE)], "distinct components"),
        ([Part((0, 0), AFFINE)], "distinct components"),
        ([Part((5,), AFFINE)], "of 0 to 4"),
        ([Part((-1,), AFFINE)], "of 0 to 4"),
        ([], "some components to map"),
        ([Part((), AFFINE)], "some components to map"),
    ],
)
def test_bad_parts(parts, message):
    with pytest.raises(ValueError, match=message):
        Coupling(LAYOUT, parts, **SIZE)


def test_a_conditioner_needs_some_input():
    free = LAYOUT._replace(controls=LogRatio(torch.ones(0)))
    everything = [Part((0, 1, 2, 3, 4), AFFINE)]
    with pytest.raises(ValueError, match="some input"):
        Coupling(free, everything, **SIZE)
    assert Coupling(LAYOUT, everything, **SIZE).features.n_features == 1


def test_a_volume_preserving_flow_preserves_volume(generator):
    """Log-determinants are zero to the bit, and autograd's Jacobian of the whole chain agrees."""
    kinds = VolumePreservingTransform()

    def make():
        halves = ([Part((0, 2), kinds)], [Part((1, 4), kinds), Part((3,), kinds)])
        plain = VectorLayout(
            torch.zeros(5, dtype=torch.bool), torch.ones(5), LogRatio(torch.ones(1))
        )
        return Chain([Coupling(plain, half, **SIZE) for half in halves * 2])

    flow = perturbed(make, torch.float64)
    x = torch.randn(4, 5, generator=generator, dtype=torch.float64)
    c = torch.ones(4, 1, dtype=torch.float64)
    for call in (flow, flow.inverse):
        moved, logdet = call(x, c)
        assert torch.equal(logdet, torch.zeros_like(logdet))
        assert bool((moved - x).abs().max() > 0.1)
        for row in range(4):
            matrix = torch.autograd.functional.jacobian(
                lambda v, call=call: call(v[None], c[:1])[0][0], x[row]
            )
            assert abs(torch.linalg.slogdet(matrix)[1].item()) < 1e-12


def test_chain_applies_layers_in_order(generator):
    with seeded(generator):
        first, second = two_parts(), Coupling(LAYOUT, [Part((2,), SplineTransform(3))], **SIZE)
    chain = Chain([first, second]).double()
    with torch.no_grad():
        for parameter in chain.parameters():
            parameter.add_(0.3)
    x, c = draw(7, generator)
    middle, one = first(x, c)
    last, two = second(middle, c)
    z, logdet = chain(x, c)
    assert torch.equal(z, last)
    torch.testing.assert_close(logdet, one + two, rtol=1e-14, atol=1e-15)


def test_bad_chains():
    with pytest.raises(ValueError, match="at least one bijection"):
        Chain([])
    other = VectorLayout(torch.zeros(2, dtype=torch.bool), torch.ones(2), LogRatio(torch.ones(1)))
    with pytest.raises(ValueError, match="one event shape and C"):
        Chain([two_parts(), Coupling(other, [Part((0,), AFFINE)], **SIZE)])


def test_features():
    """Plain numbers, cosines, sines and those of a third of a threefold angle, log(c / c0)."""
    features = Features(LAYOUT.periodic, LAYOUT.divisors, LAYOUT.controls)
    x = torch.tensor([[1.0, 0.3, 2.0, -3.0, 4.0]], dtype=torch.float64)
    c = torch.tensor([[300.0]], dtype=torch.float64)
    angles = (0.3, -3.0, -1.0)
    expected = [1, 2, 4, *map(math.cos, angles), *map(math.sin, angles), math.log(0.5)]
    found = features(x, c)
    assert found.shape == (1, features.n_features)
    torch.testing.assert_close(
        found[0], torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-6
    )


def test_the_conditioner_starts_at_zero_and_checks_its_size(generator):
    with seeded(generator):
        network = ResidualMLP(3, 5, n_hidden=8, n_blocks=2)
    assert torch.equal(network(torch.randn(4, 3, generator=generator)), torch.zeros(4, 5))
    with pytest.raises(ValueError, match="n_hidden"):
        ResidualMLP(3, 5, n_hidden=0, n_blocks=2)
    with pytest.raises(ValueError, match="n_blocks"):
        ResidualMLP(3, 5, n_hidden=8, n_blocks=-1)
