"""Free-form flows: exact densities of decoders, symmetric networks, probes."""

import math

import pytest
import torch
from torch import nn

from boltzgen.flows import CentredNormal, LogRatio, StandardNormal, centred
from boltzgen.flows.free_form import EquivariantGraph, FreeFormFlow, ResidualField
from boltzgen.flows.free_form.jacobians import linearise, solve
from boltzgen.random import seeded
from tests.boltzgen.flows.maps import Bounded, Scale

F64 = torch.float64
N, DIMS = 4, 3


def shaken(module, generator, size=0.05):
    """The module in float64 with weights away from those as built."""
    module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += size * torch.randn(parameter.shape, generator=generator, dtype=F64)
    return module


def field_flow(generator, size=0.1):
    with seeded(generator):
        networks = [
            ResidualField(3, LogRatio(torch.ones(1)), n_hidden=16, n_blocks=1) for _ in range(2)
        ]
    return shaken(FreeFormFlow(*networks, StandardNormal((3,), 1)), generator, size)


def graph_flow(generator, features=None):
    with seeded(generator):
        networks = [
            EquivariantGraph(
                N, DIMS, LogRatio(torch.ones(1)), n_hidden=16, n_layers=2, features=features
            )
            for _ in range(2)
        ]
    return shaken(FreeFormFlow(*networks, CentredNormal(N, DIMS, 1)), generator, 0.15)


def controls(n, generator):
    return 0.5 + torch.rand(n, 1, generator=generator, dtype=F64)


def rotation(generator):
    return torch.linalg.qr(torch.randn(DIMS, DIMS, generator=generator, dtype=F64)).Q


@pytest.mark.parametrize("build", [field_flow, graph_flow])
def test_log_prob_is_that_of_the_samples_whatever_the_encoder(build, generator):
    flow, c = build(generator), controls(50, generator)
    with torch.no_grad():
        x, log_q = flow.sample_and_log_prob(c, generator=generator)
        torch.testing.assert_close(flow.log_prob(x, c), log_q, rtol=0, atol=1e-8)
        assert (flow.encode(x, c) - flow.preimage(x, c).z).abs().max() > 0.01


def test_no_rows_are_no_error(generator):
    flow, c = field_flow(generator), torch.ones(0, 1, dtype=F64)
    x, log_q = flow.sample_and_log_prob(c, generator=generator)
    assert (x.shape, log_q.shape, flow.log_prob(x, c).shape) == ((0, 3), (0,), (0,))


def test_samples_without_density_are_the_same(generator):
    flow, c = field_flow(generator), controls(20, generator)
    streams = [torch.Generator().manual_seed(3) for _ in range(2)]
    x = flow.sample(c, generator=streams[0])
    torch.testing.assert_close(x, flow.sample_and_log_prob(c, generator=streams[1])[0])


def test_the_density_is_normalised(generator):
    flow = FreeFormFlow(_Curve(0.2), _Curve(0.3), StandardNormal((1,), 1))
    x = torch.linspace(-12, 12, 4001, dtype=F64)[:, None]
    density = flow.log_prob(x, torch.full((len(x), 1), 2.0, dtype=F64)).exp()
    assert torch.trapezoid(density, x[:, 0]).item() == pytest.approx(1, abs=1e-8)


def test_first_and_second_derivatives_of_log_prob_are_right(generator):
    flow, c = field_flow(generator), controls(3, generator).requires_grad_()
    x = flow.sample(c.detach(), generator=generator).detach().requires_grad_()
    assert torch.autograd.gradcheck(flow.log_prob, (x, c))
    assert torch.autograd.gradgradcheck(flow.log_prob, (x, c))


class _Curve(nn.Module):
    """z + size c tanh(z), one-to-one for size c above -1."""

    def __init__(self, size):
        super().__init__()
        self.size = size

    def forward(self, x, c):
        return x + self.size * c * x.tanh()


def test_what_the_decoder_cannot_reach_has_no_density():
    flow = FreeFormFlow(_Curve(0.1), Bounded(), StandardNormal((1,), 1))
    x = torch.tensor([[0.5], [1.5]], dtype=F64)
    log_prob = flow.log_prob(x, torch.ones(2, 1, dtype=F64))
    z = math.atanh(0.5)
    expected = -0.5 * z**2 - 0.5 * math.log(2 * math.pi) - math.log(1 - 0.25)
    assert log_prob[0].item() == pytest.approx(expected, abs=1e-9)
    assert log_prob[1].item() == -math.inf


class _Cube(nn.Module):
    """weight z^3, whose Jacobian is singular at 0."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones((), dtype=F64))

    def forward(self, z, c):
        return self.weight * z**3


def test_rows_without_a_latent_do_not_spoil_the_gradients_of_others():
    decoder = _Cube()
    flow = FreeFormFlow(_Curve(-0.5), decoder, StandardNormal((1,), 1))
    x, c = torch.tensor([[8.0], [0.0], [torch.inf]], dtype=F64), torch.ones(3, 1, dtype=F64)
    flow.log_prob(x[[0, 2]], c[:2])[0].backward()
    both = decoder.weight.grad.clone()
    decoder.weight.grad = None
    flow.log_prob(x[:1], c[:1]).sum().backward()
    assert both.isfinite()
    assert torch.equal(both, decoder.weight.grad)


def test_large_configurations_are_found_in_single_precision(generator):
    networks = [Scale(1 / 3000.0), Scale(3000.0)]
    flow = FreeFormFlow(*networks, StandardNormal((2,), 1))
    x, log_q = flow.sample_and_log_prob(torch.ones(500, 1), generator=generator)
    torch.testing.assert_close(flow.log_prob(x, torch.ones(500, 1)), log_q, rtol=0, atol=1e-3)
    with pytest.raises(ValueError, match="expected float32 or float64"):
        flow.log_prob(x.bfloat16(), torch.ones(500, 1).bfloat16())


def test_the_encoders_density_is_that_of_its_own_change_of_variables(generator):
    flow, c = field_flow(generator), controls(5, generator)
    x = torch.randn(5, 3, generator=generator, dtype=F64)
    z, log_q = flow.encoded(x, c)
    for row in range(5):
        jacobian = torch.autograd.functional.jacobian(
            lambda at, row=row: flow.encode(at[None], c[row : row + 1])[0], x[row]
        )
        expected = flow.base.log_prob(z, c)[row] + torch.linalg.slogdet(jacobian)[1]
        torch.testing.assert_close(log_q[row], expected)


def test_jacobians_in_chunks_are_those_in_one(generator, monkeypatch):
    flow, c = graph_flow(generator), controls(6, generator)
    z = torch.randn(6, N, DIMS, generator=generator, dtype=F64)
    whole = linearise(flow.decode, z, c).jacobian
    monkeypatch.setattr("boltzgen.flows.free_form.jacobians._COLUMNS", 12)
    torch.testing.assert_close(linearise(flow.decode, z, c).jacobian, whole)


def test_newton_halves_its_steps_where_they_overshoot():
    def steep(z, c):
        return z.atan()

    def far_off(x, c):
        return torch.full_like(x, -3.0)

    x = torch.tensor([[1.4]], dtype=F64)
    found = solve(steep, far_off, x, x, tolerance=torch.tensor([1e-10]).double(), n_steps=50)
    assert found.z.item() == pytest.approx(math.tan(1.4), rel=1e-6)
    assert found.error.item() <= 1e-10


def test_a_good_inverse_needs_no_jacobian():
    def decode(z, c):
        return 2 * z + 0.1 * z.sin()

    def encode(x, c):
        return x / 2

    x = torch.linspace(-3, 3, 7, dtype=F64)[:, None]
    found = solve(decode, encode, x, x, tolerance=torch.full((7,), 1e-10).double(), n_steps=0)
    assert (decode(found.z, x) - x).abs().max() <= 1e-10
    assert (found.error <= 1e-10).all()
    assert (encode(x, x) - found.z).abs().max() > 1e-3


def test_graphs_turn_shift_and_permute_with_their_input(generator):
    network = graph_flow(generator).decoder
    x, c = torch.randn(7, N, DIMS, generator=generator, dtype=F64), controls(7, generator)
    turn, shift = rotation(generator), torch.randn(DIMS, generator=generator, dtype=F64)
    order = torch.tensor([2, 0, 3, 1])
    moved, y = network((x @ turn + shift)[:, order], c), network(x, c)
    assert (y - x).abs().max() > 0.01
    torch.testing.assert_close(moved, (y @ turn + shift)[:, order], rtol=0, atol=1e-13)
    torch.testing.assert_close(y.mean(1), x.mean(1))


def test_particles_with_features_of_their_own_may_not_be_exchanged(generator):
    kinds = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    network = graph_flow(generator, features=kinds).decoder
    x, c = torch.randn(7, N, DIMS, generator=generator, dtype=F64), controls(7, generator)
    y = network(x, c)
    like, unlike = torch.tensor([2, 1, 0, 3]), torch.tensor([1, 0, 2, 3])
    torch.testing.assert_close(network(x[:, like], c), y[:, like])
    assert (network(x[:, unlike], c) - y[:, unlike]).abs().max() > 1e-4


def test_the_likelihood_knows_no_orientation_and_no_order(generator):
    flow, c = graph_flow(generator), controls(10, generator)
    with torch.no_grad():
        x, log_q = flow.sample_and_log_prob(c, generator=generator)
        moved = (x @ rotation(generator))[:, [3, 1, 0, 2]]
        torch.testing.assert_close(flow.log_prob(moved, c), log_q, rtol=0, atol=1e-8)


def test_the_whole_determinant_is_that_on_centred_configurations(generator):
    flow, c = graph_flow(generator), controls(5, generator)
    z = centred(torch.randn(5, N, DIMS, generator=generator, dtype=F64))
    jacobian = linearise(flow.decode, z, c).jacobian
    columns = torch.randn(N, N - 1, generator=generator, dtype=F64)
    ones = torch.ones(N, 1, dtype=F64)
    across = torch.linalg.qr(torch.cat([ones, columns], 1)).Q[:, 1:].contiguous()
    basis = torch.kron(across, torch.eye(DIMS, dtype=F64))
    inside = torch.linalg.slogdet(basis.mT @ jacobian @ basis)[1]
    torch.testing.assert_close(inside, torch.linalg.slogdet(jacobian)[1])


def test_networks_are_the_identity_as_built(generator):
    with seeded(generator):
        field = ResidualField(3, LogRatio(torch.ones(1)), n_hidden=8, n_blocks=1)
        graph = EquivariantGraph(N, DIMS, LogRatio(torch.ones(1)), n_hidden=8, n_layers=2)
    x = torch.randn(5, 3, generator=generator)
    assert torch.equal(field(x, torch.ones(5, 1)), x)
    x = torch.randn(5, N, DIMS, generator=generator)
    torch.testing.assert_close(graph(x, torch.ones(5, 1)), x)


@pytest.mark.parametrize(("build", "n_free"), [(field_flow, 3), (graph_flow, 9)])
def test_probes_have_one_length_and_add_up_to_the_identity(build, n_free, generator):
    flow = build(generator)
    like = torch.zeros(1, *flow.event_shape, dtype=F64)
    full = flow.probes(4, n_free, like=like, generator=generator).flatten(2)
    squares = full.square().sum(2)
    torch.testing.assert_close(squares, torch.full_like(squares, float(n_free)))
    total = torch.einsum("kbi,kbj->bij", full, full) / n_free
    eye = torch.eye(like[0].numel(), dtype=F64)
    if build is graph_flow:
        eye = eye - torch.kron(torch.full((N, N), 1 / N, dtype=F64), torch.eye(DIMS, dtype=F64))
    torch.testing.assert_close(total, eye.expand_as(total))
    one = flow.probes(20_000, 1, like=like, generator=generator).flatten(2)[0]
    torch.testing.assert_close(one.square().sum(1), torch.full((20_000,), float(n_free), dtype=F64))
    assert (one.mT @ one / 20_000 - eye).abs().max() < 4 * n_free / math.sqrt(20_000)


def test_more_probes_than_dimensions_are_refused(generator):
    flow = graph_flow(generator)
    with pytest.raises(ValueError, match="n_probes: expected 1 to 9, got 10"):
        flow.probes(2, 10, like=torch.zeros(1, N, DIMS), generator=generator)


def test_what_is_not_centred_has_no_density(generator):
    flow, c = graph_flow(generator), controls(3, generator)
    x = flow.sample(c, generator=generator)
    with pytest.raises(ValueError, match="expected centred configurations, got a centre of 0.5"):
        flow.log_prob(x + 0.5, c)


def test_bad_arguments_are_named(generator):
    with pytest.raises(ValueError, match=r"features: expected shape \(4, F\), got \(3, 1\)"):
        EquivariantGraph(
            N, DIMS, LogRatio(torch.ones(1)), n_hidden=8, n_layers=1, features=torch.ones(3, 1)
        )
    with pytest.raises(ValueError, match="n_particles"):
        EquivariantGraph(1, DIMS, LogRatio(torch.ones(1)), n_hidden=8, n_layers=1)
    with pytest.raises(ValueError, match="tolerance"):
        FreeFormFlow(nn.Identity(), nn.Identity(), StandardNormal((2,), 1), tolerance=0.0)
