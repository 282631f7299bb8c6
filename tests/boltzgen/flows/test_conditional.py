"""Encodings of controls, whitening, and the flow made of them."""

import numpy as np
import pytest
import torch
from scipy import stats

from boltzgen.flows import (
    Joined,
    LogRatio,
    SplineTransform,
    Standardised,
    StandardNormal,
    VectorLayout,
    Whitening,
    conditional_flow,
    coupling_flow,
)
from boltzgen.random import seeded
from tests.contracts.case import perturbed

DOUBLE = torch.float64
SIZE = {"n_hidden": 16, "n_blocks": 1}


def test_encodings_are_what_they_say():
    c = torch.tensor([[0.0, 3.0, -1.0], [2.0, 1.0, 5.0]], dtype=DOUBLE)
    seen = Standardised(torch.tensor([1.0, 2.0]), torch.tensor([2.0, 3.0]))
    joined = Joined([LogRatio(torch.ones(1), offset=0.5), seen])
    expected = [[np.log(0.5 / 1.5), 1.0, -1.0], [np.log(2.5 / 1.5), 0.0, 1.0]]
    np.testing.assert_allclose(joined(c).numpy(), expected, rtol=1e-6, atol=1e-7)
    assert (joined.n_controls, joined.n_features) == (3, 3)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: LogRatio(torch.zeros(1)), "reference, offset"),
        (lambda: LogRatio(torch.ones(1), offset=-0.1), "reference, offset"),
        (lambda: Standardised(torch.zeros(2), torch.ones(1)), "scale"),
        (lambda: Standardised(torch.zeros(1), torch.zeros(1)), "scale"),
    ],
)
def test_bad_encodings(make, word):
    with pytest.raises(ValueError, match=word):
        make()


def test_whitening_makes_the_sample_white(generator):
    factor = torch.tensor([[2.0, 0.0], [-1.5, 0.1]], dtype=DOUBLE)
    x = torch.randn(500, 2, generator=generator, dtype=DOUBLE) @ factor.mT + 3
    layer = Whitening.of_samples(x, 0)
    z, logdet = layer(x, torch.zeros(500, 0, dtype=DOUBLE))
    assert z.mean(0).abs().max() < 1e-12
    assert (z.mT @ z / 499 - torch.eye(2, dtype=DOUBLE)).abs().max() < 1e-12
    log_volume = 0.5 * torch.logdet(torch.cov(x.mT))
    np.testing.assert_allclose(logdet.numpy(), -log_volume.item(), rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: Whitening(torch.zeros(2), torch.eye(3), 1), "mean, factor"),
        (lambda: Whitening(torch.zeros(2), torch.ones(2, 2), 1), "factor"),
        (lambda: Whitening(torch.zeros(1), -torch.eye(1), 1), "factor"),
        (lambda: Whitening.of_samples(torch.zeros(2, 2), 1), "more than components"),
        (lambda: Whitening.of_samples(torch.ones(9, 2), 1), "regular covariance"),
    ],
)
def test_bad_whitening(make, word):
    with pytest.raises(ValueError, match=word):
        make()


def test_the_standard_normal_is_scipys(generator):
    base = StandardNormal((2, 3), 1)
    x = torch.randn(20, 2, 3, generator=generator, dtype=DOUBLE)
    found = base.log_prob(x, torch.ones(20, 1, dtype=DOUBLE)).numpy()
    np.testing.assert_allclose(found, stats.norm.logpdf(x.numpy()).sum((1, 2)), rtol=1e-13)


def conditional(marginal=None):
    white = Whitening(torch.zeros(2, dtype=DOUBLE), torch.eye(2, dtype=DOUBLE), 2)
    seen = Joined([LogRatio(torch.ones(1)), Standardised(torch.zeros(1), torch.ones(1))])
    return conditional_flow(white, seen, [SplineTransform(4)] * 2, marginal=marginal, **SIZE)


def test_as_built_it_does_not_depend_on_the_first_control(generator):
    """Also when the last layers of its networks, which begin at zero, are anything."""
    with seeded(generator):
        flow = conditional().double()
    with torch.no_grad():
        for layer in flow.bijection.layers[1:]:
            layer.conditioner.last.weight.normal_(generator=generator)
    x = torch.randn(10, 2, generator=generator, dtype=DOUBLE)
    c = torch.rand(10, 2, generator=generator, dtype=DOUBLE) + 0.5
    other = torch.stack([3 * c[:, 0], c[:, 1]], 1)
    assert torch.equal(flow.log_prob(x, c), flow.log_prob(x, other))
    moved = torch.stack([c[:, 0], c[:, 1] + 1], 1)
    assert not torch.allclose(flow.log_prob(x, c), flow.log_prob(x, moved))


def test_marginals_map_every_component_by_itself(generator):
    """With couplings as built, which are the identity."""
    white = Whitening(torch.zeros(2, dtype=DOUBLE), torch.eye(2, dtype=DOUBLE), 1)
    flow = conditional_flow(
        white, LogRatio(torch.ones(1)), [SplineTransform(4)] * 2, **SIZE,
        marginal=SplineTransform(8, 6.0),
    ).double()  # fmt: skip
    with torch.no_grad():
        flow.bijection.layers[2].conditioner.last.bias.normal_(generator=generator)
    x = torch.rand(50, 2, generator=generator, dtype=DOUBLE) * 10 - 5
    c = torch.ones(50, 1, dtype=DOUBLE)
    z, logdet = flow.bijection(x, c)
    assert (z - x).abs().max() > 0.1
    other = torch.stack([x[:, 0], x[:, 1].flip(0)], 1)
    moved, _ = flow.bijection(other, c)
    torch.testing.assert_close(moved[:, 0], z[:, 0])
    torch.testing.assert_close(moved[:, 1], z[:, 1].flip(0))
    h = 1e-6
    slope = (flow.bijection(x + h, c)[0] - flow.bijection(x - h, c)[0]) / (2 * h)
    torch.testing.assert_close(logdet, slope.log().sum(1), rtol=0, atol=1e-4)
    assert torch.equal(flow.bijection(x, 3 * c)[0], z)


@pytest.mark.parametrize("marginal", [None, SplineTransform(6, 8.0)])
def test_it_is_normalised_at_every_control(marginal):
    flow = perturbed(lambda: conditional(marginal), DOUBLE)
    line = torch.linspace(-9, 9, 361, dtype=DOUBLE)
    x = torch.cartesian_prod(line, line)
    for c in ([0.3, -2.0], [2.0, 1.0]):
        log_q = flow.log_prob(x, torch.tensor(c, dtype=DOUBLE).expand(len(x), -1))
        assert log_q.exp().sum().item() * 0.05**2 == pytest.approx(1, abs=2e-3)


def test_controls_must_fit():
    white = Whitening(torch.zeros(2), torch.eye(2), 2)
    with pytest.raises(ValueError, match="controls: expected 2"):
        conditional_flow(white, LogRatio(torch.ones(1)), [SplineTransform(4)], **SIZE)
    layout = VectorLayout(
        torch.zeros(2, dtype=torch.bool), torch.ones(2), Standardised(torch.zeros(1), torch.ones(1))
    )
    with pytest.raises(ValueError, match="layout: expected controls seen as LogRatio"):
        coupling_flow(layout, [SplineTransform(4)], **SIZE)
