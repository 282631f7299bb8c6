"""The symmetries of lattice flows are exact, and the layers do what they are for."""

import math

import pytest
import torch

from boltzgen.flows.lattice import (
    CheckerboardCoupling,
    ControlEmbedding,
    LatticeLayout,
    ParityNetwork,
    SinhArcsinh,
    SpectralScaling,
    SymmetricModeBase,
    TanhStep,
    TranslationAverage,
    lattice_flow,
)
from boltzgen.random import seeded
from systems.lattices.exact import FreeField, ScalarAction
from tests.contracts.case import perturbed

DOUBLE = torch.float64
LAYOUT = LatticeLayout((4, 6), [0.2], [0.4])
TRANSFORMS = [SinhArcsinh(), TanhStep()]


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def draw(n=5, shape=(4, 6)):
    return 2 * torch.randn(n, *shape, generator=stream(1), dtype=DOUBLE)


def controls(n=5):
    return torch.linspace(0.2, 0.4, n, dtype=DOUBLE)[:, None]


def flow(transform=None, layout=LAYOUT):
    return perturbed(lambda: lattice_flow(layout, transform, n_couplings=3, n_channels=4), DOUBLE)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_both_signs_have_one_density(transform):
    x, c = draw(), controls()
    q = flow(transform)
    torch.testing.assert_close(q.log_prob(-x, c), q.log_prob(x, c), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_translations_that_keep_the_sublattices_change_nothing(transform):
    x, c = draw(), controls()
    q = flow(transform)
    for step in ((1, 1), (2, 0), (0, 4), (3, 5)):
        moved = x.roll(step, (1, 2))
        torch.testing.assert_close(q.log_prob(moved, c), q.log_prob(x, c), rtol=1e-11, atol=1e-11)
    odd = q.log_prob(x.roll(1, 2), c)
    assert not torch.allclose(odd, q.log_prob(x, c))


def test_the_average_is_invariant_under_every_translation():
    x, c = draw(), controls()
    q = TranslationAverage(flow())
    for step in ((0, 1), (1, 0), (3, 2), (1, 1)):
        moved = x.roll(step, (1, 2))
        torch.testing.assert_close(q.log_prob(moved, c), q.log_prob(x, c), rtol=1e-11, atol=1e-11)


def test_the_average_draws_from_what_it_says():
    """E_q[log q0(x) - log q0(shifted x)] is odd under the shift, so it vanishes for the average."""
    q0 = flow(layout=LatticeLayout((4, 4), [0.2], [0.4]))
    q = TranslationAverage(q0)
    c = torch.full((20_000, 1), 0.3, dtype=DOUBLE)
    with torch.no_grad():
        for density, symmetric in ((q, True), (q0, False)):
            x = density.sample(c, generator=stream(3))
            odd = q0.log_prob(x, c) - q0.log_prob(x.roll(1, 2), c)
            z = float(odd.mean() / (odd.std() / len(odd) ** 0.5))
            assert (abs(z) < 4) == symmetric


@pytest.mark.parametrize("n_dims", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_networks_keep_parity_and_translations(n_dims, kernel):
    shape = (4, 2, 4)[:n_dims]

    def make():
        embedding = ControlEmbedding([0.2], [0.4], n_features=8)
        return ParityNetwork(
            n_dims, embedding, n_even=2, n_odd=3, n_channels=4, n_blocks=2, kernel=kernel
        )

    network, x, c = perturbed(make, DOUBLE), draw(3, shape), controls(3)
    even, odd = network(x, c)
    assert even.shape == (3, 2, *shape)
    assert odd.shape == (3, 3, *shape)
    assert float(even.detach().std()) > 0
    assert float(odd.detach().std()) > 0
    flipped = network(-x, c)
    torch.testing.assert_close(flipped[0], even)
    torch.testing.assert_close(flipped[1], -odd)
    moved = network(x.roll(1, -1), c)
    torch.testing.assert_close(moved[0], even.roll(1, -1))
    torch.testing.assert_close(moved[1], odd.roll(1, -1))


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_site_maps_are_odd_and_the_identity_at_zero(transform):
    g = stream(2)
    x = 4 * torch.randn(50, 7, generator=g, dtype=DOUBLE)
    even = torch.randn(50, transform.n_even, 7, generator=g, dtype=DOUBLE)
    odd = torch.randn(50, transform.n_odd, 7, generator=g, dtype=DOUBLE)
    z, slope = transform.forward(x, even, odd)
    mirrored, same = transform.forward(-x, even, -odd)
    torch.testing.assert_close(mirrored, -z)
    torch.testing.assert_close(same, slope)
    still, flat = transform.forward(x, 0 * even, 0 * odd)
    torch.testing.assert_close(still, x)
    torch.testing.assert_close(flat, torch.zeros_like(x), atol=1e-12, rtol=0)


def test_steps_invert_to_rounding_at_their_steepest():
    """Parameters far beyond their bounds, and values in the tails and on the step."""
    g = stream(4)
    step = TanhStep()
    even = 20 * torch.randn(2000, 3, 1, generator=g, dtype=DOUBLE)
    odd = 5 * torch.randn(2000, 2, 1, generator=g, dtype=DOUBLE)
    z = 6 * torch.randn(2000, 1, generator=g, dtype=DOUBLE)
    x, slope = step.inverse(z, even, odd)
    back, slope_back = step.forward(x, even, odd)
    torch.testing.assert_close(back, z, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(slope + slope_back, torch.zeros_like(slope), atol=1e-6, rtol=0)


def test_steps_have_exact_second_derivatives():
    """The inverse is a loop without gradient and two steps with it."""
    step = TanhStep()

    def forward(x, even, odd):
        return step.forward(x, even, odd)

    g = stream(6)
    inputs = [
        torch.randn(2, *shape, generator=g, dtype=DOUBLE, requires_grad=True)
        for shape in ((3,), (3, 3), (2, 3))
    ]
    assert torch.autograd.gradcheck(forward, inputs)
    assert torch.autograd.gradgradcheck(forward, inputs)


def test_a_step_makes_two_peaks():
    step = TanhStep()
    z = torch.randn(4000, 1, generator=stream(), dtype=DOUBLE)
    even = torch.tensor([0.0, 2.0, 1.0], dtype=DOUBLE)[:, None].expand(4000, 3, 1)
    x, _ = step.inverse(z, even, torch.zeros(4000, 2, 1, dtype=DOUBLE))
    counts = torch.histc(x, 9, -6, 6)
    assert counts[4] < counts[:4].max() / 2
    assert counts[4] < counts[5:].max() / 2


def test_spectral_scaling_whitens_a_free_field_exactly():
    """A propagator 1 / (p + 1 - w) is what the layer is without its series."""
    shape, kappa = (6, 4), 0.2
    field = FreeField(ScalarAction(1.0, 0.0, 2 * kappa), shape)
    with seeded(stream()):
        layer = SpectralScaling(shape, ControlEmbedding([0.1], [0.3], n_features=8)).double()
    # K(k) = 1 - 2 kappa d w = 2 kappa d (p + 1 - w), p = 1 / (2 kappa d) - 1
    p = 1 / (4 * kappa) - 1
    with torch.no_grad():
        layer.network[-1].bias[0] = math.log(math.expm1(p))
        layer.network[-1].bias[1] = 0.5 * math.log(8 * kappa)
        x = field.sample(50_000, generator=stream(8))
        z, logdet = layer(x, torch.full((50_000, 1), kappa, dtype=DOUBLE))
    power = torch.fft.fftn(z, dim=(1, 2)).abs().square().mean(0) / 24
    expected = torch.ones_like(power)
    expected[0, 0] = field.magnetisation_square() / 24
    torch.testing.assert_close(power, expected, atol=0, rtol=0.04)
    exact = field.log_partition() + 0.5 * math.log((1 - 4 * kappa) / math.pi)
    assert float(-logdet[0]) + 23 / 2 * math.log(2 * math.pi) == pytest.approx(exact, abs=1e-9)


def test_the_zero_mode_has_both_signs_with_equal_weight():
    def make():
        return SymmetricModeBase((4, 4), ControlEmbedding([0.2], [0.4], n_features=8))

    base = perturbed(make, DOUBLE)
    with torch.no_grad():
        base.network[-1].bias[0] = 3.0  # two peaks, far apart
    c = torch.full((10_000, 1), 0.3, dtype=DOUBLE)
    x = base.sample(c, generator=stream(9))
    y = x.sum((1, 2)) / 4
    assert abs(float((y > 0).double().mean()) - 0.5) < 4 * 0.5 / 100
    assert float(y.abs().min()) > 2
    rest = x - (y / 4)[:, None, None]
    squares = rest.square().sum((1, 2))  # chi-square of 15: variance 30
    assert abs(float(squares.mean()) - 15) < 4 * (30 / 10_000) ** 0.5


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (
            lambda: lattice_flow(LatticeLayout((4, 5), [0.1], [0.2])),
            "layout: expected one to three",
        ),
        (
            lambda: lattice_flow(LatticeLayout((4, 4), [0.2], [0.1])),
            "low, high: expected low < high",
        ),
        (lambda: lattice_flow(LAYOUT, kernel=2), "kernel: expected an odd number"),
        (lambda: lattice_flow(LAYOUT, n_couplings=-1), "n_couplings: expected"),
    ],
)
def test_bad_input_is_named(make, complaint):
    with pytest.raises(ValueError, match=complaint):
        make()


def test_networks_in_float32_leave_the_density_exact():
    """Samples in float64 carry their own log-density, and weights average to one."""
    q = flow(layout=LatticeLayout((4, 4), [0.2], [0.4]))
    for module in q.modules():
        if isinstance(module, ParityNetwork):
            module.float()
    c = torch.full((4000, 1), 0.3, dtype=DOUBLE)
    with torch.no_grad():
        x, log_q = q.sample_and_log_prob(c, generator=stream(5))
        assert x.dtype == log_q.dtype == DOUBLE
        # Rounding of a site to float32 may go either way after a round trip: 1e-7 a site.
        torch.testing.assert_close(q.log_prob(x, c), log_q, rtol=0, atol=1e-4)
        z, logdet = q.bijection(x, c)
        back, logdet_back = q.bijection.inverse(z, c)
    torch.testing.assert_close(back, x, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(logdet + logdet_back, 0 * logdet, rtol=0, atol=1e-5)


def test_networks_and_maps_must_fit():
    network = ParityNetwork(2, ControlEmbedding([0.1], [0.2], n_features=4), n_even=2, n_odd=2)
    with pytest.raises(ValueError, match="network: expected"):
        CheckerboardCoupling((4, 4), network, TanhStep(), unchanged=0)
    with pytest.raises(ValueError, match="unchanged: expected 0 or 1"):
        CheckerboardCoupling((4, 4), network, SinhArcsinh(), unchanged=2)
    with pytest.raises(ValueError, match="even lengths"):
        CheckerboardCoupling((3, 4), network, SinhArcsinh(), unchanged=1)
