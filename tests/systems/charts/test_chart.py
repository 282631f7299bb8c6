from itertools import permutations, product

import numpy as np
import pytest
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from systems.charts import InternalChart, chart_from_state, fit_chart
from tests.systems.charts.molecules import RINGS, fitted, mirrored, rotated

# kJ/mol; 5 times the worst of 300 configurations of each molecule, which is tryptophan's 0.0009.
SINGLE_ENERGY = 0.005

# Flat or too small to have a hand; all others have an atom with three labelled neighbours.
WITHOUT_HAND = ("benzene", "hydrogen_peroxide", "methanol", "water")


def inside(case, n, generator, scale=1.0):
    """Points of the chart near the data but not in them."""
    chart = case.chart
    z, _ = chart.to_internal(case.x[:n])
    noise = torch.randn(z.shape, generator=generator, dtype=z.dtype)
    z = z + torch.where(chart.periodic, 5.0, 0.2 * scale) * noise
    z[:, chart.periodic] = torch.remainder(z[:, chart.periodic] + torch.pi, 2 * torch.pi) - torch.pi
    assert chart.in_domain(z).all()
    return z


def superposed(x, y):
    """Root mean square distance of two configurations after a proper rotation."""
    x, y = x - x.mean(0), y - y.mean(0)
    u, s, v = torch.linalg.svd(x.T @ y)
    s[2] *= torch.sign(torch.linalg.det(u) * torch.linalg.det(v))
    return ((x.square().sum() + y.square().sum() - 2 * s.sum()).clamp(min=0) / len(x)).sqrt()


def matched(chart, x, y):
    """x with the labels of each group of leaves that y has, found from their distances."""
    coordinates = chart.coordinates
    groups = [[coordinates.zmatrix.rows[row][0] for row in g] for g in coordinates.leaves.tolist()]
    others = [a for a in range(len(x)) if a not in sum(groups, [])]
    order = torch.arange(len(x))
    for group in groups:
        target = torch.cdist(y[group], y[others])
        forms = [torch.tensor(p) for p in permutations(group)]
        errors = [(torch.cdist(x[p], x[others]) - target).abs().max() for p in forms]
        order[group] = forms[int(torch.stack(errors).argmin())]
    return x[order]


def test_positions_come_back_up_to_motion_and_labels(case, generator):
    x = rotated(case.x[:12], generator)
    z, logdet = case.chart.to_internal(x)
    y, back = case.chart.to_cartesian(z)
    torch.testing.assert_close(back, -logdet, atol=1e-9, rtol=0)
    for one, other in zip(x, y, strict=True):
        assert superposed(matched(case.chart, one, other), other) < 1e-7


def test_energy_comes_back(case, generator):
    z, _ = case.chart.to_internal(rotated(case.x[:25], generator))
    y, _ = case.chart.to_cartesian(z)
    energy = case.molecule.energies(case.x[:25])
    torch.testing.assert_close(case.molecule.energies(y), energy, atol=1e-6, rtol=1e-9)


def test_energy_comes_back_in_single_precision(case):
    z, _ = case.chart.to_internal(case.x[:100].float())
    y, _ = case.chart.to_cartesian(z)
    assert y.dtype == torch.float32
    energy = case.molecule.energies(case.x[:100])
    torch.testing.assert_close(case.molecule.energies(y), energy, atol=SINGLE_ENERGY, rtol=0)


def test_coordinates_come_back(case, generator):
    z = inside(case, 40, generator)
    x, logdet = case.chart.to_cartesian(z)
    again, back = case.chart.to_internal(x)
    error = again - z
    turns = case.chart.periodic
    error[:, turns] = torch.remainder(error[:, turns] + torch.pi, 2 * torch.pi) - torch.pi
    assert error.abs().max() < 1e-8
    torch.testing.assert_close(back, -logdet, atol=1e-9, rtol=0)


def moved(chart, motion_and_z):
    """Positions from a shift, a rotation vector and the coordinates of the chart."""
    shift, turn, z = motion_and_z.split([3, 3, len(motion_and_z) - 6])
    x, _ = chart.to_cartesian(z[None])
    zero = torch.zeros_like(turn[0])
    a, b, c = turn
    generator = torch.stack([zero, -c, b, c, zero, -a, -b, a, zero]).reshape(3, 3)
    return (x[0] @ torch.matrix_exp(generator).T + shift).flatten()


def test_log_determinant_is_that_of_autograd(case, generator):
    z = inside(case, 2, generator)
    _, logdet = case.chart.to_cartesian(z)
    for point, expected in zip(z, logdet, strict=True):
        start = torch.cat([torch.zeros(6, dtype=z.dtype), point])
        jacobian = torch.autograd.functional.jacobian(
            lambda v: moved(case.chart, v), start, vectorize=True
        )
        found = torch.linalg.slogdet(jacobian).logabsdet
        torch.testing.assert_close(found, expected, atol=1e-8, rtol=0)


def test_the_two_jacobians_are_inverse(case, generator):
    z = inside(case, 1, generator)
    chart = case.chart
    x, _ = chart.to_cartesian(z)
    jacobian = torch.autograd.functional.jacobian
    down = jacobian(lambda v: chart.to_cartesian(v[None])[0][0].flatten(), z[0], vectorize=True)
    up = jacobian(
        lambda v: chart.to_internal(v.reshape(x.shape))[0][0], x.flatten(), vectorize=True
    )
    torch.testing.assert_close(up @ down, torch.eye(z.shape[1], dtype=z.dtype), atol=1e-7, rtol=0)


def test_a_batch_is_its_members(case, generator):
    z = inside(case, 7, generator)
    x, logdet = case.chart.to_cartesian(z)
    for index in range(7):
        one, one_logdet = case.chart.to_cartesian(z[index : index + 1])
        torch.testing.assert_close(one[0], x[index], atol=1e-12, rtol=0)
        torch.testing.assert_close(one_logdet[0], logdet[index], atol=1e-10, rtol=0)
        back, _ = case.chart.to_internal(x[index : index + 1])
        assert case.chart.in_domain(back).item()
    empty, none = case.chart.to_cartesian(z[:0])
    assert (empty.shape, none.shape) == ((0, *x.shape[1:]), (0,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_results_follow_the_input(case, dtype):
    x = case.x[:5].to(dtype)
    before = x.clone()
    z, logdet = case.chart.to_internal(x)
    y, back = case.chart.to_cartesian(z)
    assert {z.dtype, logdet.dtype, y.dtype, back.dtype} == {dtype}
    assert torch.equal(x, before)
    assert z.shape == (5, *case.chart.event_shape)
    assert y.shape == x.shape
    assert logdet.shape == back.shape == (5,)


def test_single_precision_is_near_double(case, generator):
    z = inside(case, 50, generator)
    x, logdet = case.chart.to_cartesian(z)
    single, single_logdet = case.chart.to_cartesian(z.float())
    torch.testing.assert_close(single.double(), x, atol=2e-5, rtol=0)
    torch.testing.assert_close(single_logdet.double(), logdet, atol=1e-3, rtol=0)


def test_gradients_are_finite(case, generator):
    z = inside(case, 20, generator).float().requires_grad_()
    x, logdet = case.chart.to_cartesian(z)
    (gradient,) = torch.autograd.grad(x.square().sum() + logdet.sum(), z)
    assert gradient.isfinite().all()


def test_ring_closures_are_no_coordinates(case):
    coordinates = case.chart.coordinates
    placed = {frozenset(row[:2]) for row in coordinates.zmatrix.rows[1:]}
    closing = [bond for bond in case.molecule.bonds if frozenset(bond) not in placed]
    assert len(closing) == RINGS.get(case.molecule.name, 0)
    assert coordinates.n_bonds == len(case.molecule.elements) - 1


def test_the_state_rebuilds_the_chart(case):
    state = load_tensors(save_tensors(case.chart.state()))
    chart = chart_from_state(state)
    assert isinstance(chart, InternalChart)
    assert chart.event_shape == case.chart.event_shape
    assert torch.equal(chart.periodic, case.chart.periodic)
    assert chart.log_copies == case.chart.log_copies
    for ours, theirs in zip(chart.to_internal(case.x), case.chart.to_internal(case.x), strict=True):
        assert torch.equal(ours, theirs)
    z = theirs_z = case.chart.to_internal(case.x)[0]
    assert torch.equal(chart.to_cartesian(z)[0], case.chart.to_cartesian(theirs_z)[0])
    assert torch.equal(chart.in_domain(z), case.chart.in_domain(z))
    assert {name: value.shape for name, value in chart.state().items()} == {
        name: value.shape for name, value in state.items()
    }


def test_the_state_is_checked(alanine):
    state = alanine.chart.state()
    with pytest.raises(ValueError, match=r"missing \['mean', 'whiten'\]"):
        chart_from_state({k: v for k, v in state.items() if k not in ("mean", "whiten")})
    with pytest.raises(ValueError, match="shapes of window, mean and whiten"):
        chart_from_state(state | {"mean": state["mean"][:-1]})
    with pytest.raises(ValueError, match="in one role"):
        chart_from_state(state | {"narrow": state["narrow"][:-1]})
    water = fitted("water").chart.state()
    with pytest.raises(ValueError, match="number of coordinates"):
        chart_from_state(state | {"zmatrix": water["zmatrix"], "leaves": water["leaves"]})


def test_the_wrong_hand_is_outside(case):
    z, _ = case.chart.to_internal(mirrored(case.x))
    n_inside = int(case.chart.in_domain(z).sum())
    expected = len(z) if case.molecule.name in WITHOUT_HAND else 0
    assert n_inside == expected


def one_sided(chart):
    """Columns of the torsions whose domain is one sign."""
    limits = zip(chart.layout.narrow, chart.lower.tolist(), chart.upper.tolist(), strict=True)
    first = chart.coordinates.n_bonds + chart.coordinates.n_angles
    return [c for c, low, high in limits if c >= first and high - low < 4]


def test_each_centre_has_its_own_hand(case):
    chart, coordinates = case.chart, case.chart.coordinates
    leaf_columns = set(coordinates.leaf_columns[..., 2].flatten().tolist())
    q = coordinates.measure(case.x[:10])
    for column in set(one_sided(chart)) - leaf_columns:
        other = q.clone()
        other[column] *= -1
        z, _ = chart.to_internal(coordinates.place(other))
        assert not chart.in_domain(z).any()


def test_both_hands_are_inside_where_the_data_hold_both(alanine):
    both = torch.cat([alanine.x, mirrored(alanine.x)])
    molecule = alanine.molecule
    chart = fit_chart(both, bonds=molecule.bonds, elements=molecule.elements)
    z, _ = chart.to_internal(both)
    assert chart.in_domain(z).all()
    y, _ = chart.to_cartesian(z)
    sample = both[::100]
    torch.testing.assert_close(
        molecule.energies(y[::100]), molecule.energies(sample), atol=1e-6, rtol=0
    )
    for one, other in zip(sample, y[::100], strict=True):
        assert superposed(matched(chart, one, other), other) < 1e-7


def test_isoleucine_has_two_centres():
    case = fitted("ile")
    names, rows = case.molecule.names, case.chart.coordinates.zmatrix.rows
    n_linear = case.chart.coordinates.n_bonds + case.chart.coordinates.n_angles
    centres = {names[rows[column - n_linear + 3][1]] for column in one_sided(case.chart)}
    assert {"1:CA", "1:CB"} <= centres


def test_points_outside_are_told(case):
    chart = case.chart
    z, _ = chart.to_internal(case.x[:1])
    wild = z.expand(6, -1).clone()
    wild[0, 0] = 1e4
    wild[1, chart.n_narrow - 1] = -1e4
    wild[2, 0] = torch.nan
    wild[3, 0] = torch.inf
    wild[4, -1] = torch.nan
    assert chart.in_domain(wild).tolist() == [False] * 5 + [True]


def test_whole_turns_make_no_difference(alanine):
    chart = alanine.chart
    z, _ = chart.to_internal(alanine.x[:5])
    for turns in product([-1, 0, 1], repeat=2):
        other = z.clone()
        other[:, -2:] += 2 * np.pi * z.new_tensor(turns)
        torch.testing.assert_close(chart.to_cartesian(other)[0], chart.to_cartesian(z)[0])
        assert chart.in_domain(other).all()


@pytest.mark.parametrize("bad", [torch.zeros(3, 59), torch.zeros(60), torch.zeros(3, 60).int()])
def test_bad_coordinates_are_refused(alanine, bad):
    for method in (alanine.chart.to_cartesian, alanine.chart.in_domain):
        with pytest.raises(ValueError, match="z: expected"):
            method(bad)


@pytest.mark.parametrize("bad", [torch.zeros(3, 21, 3), torch.zeros(22, 3), [1.0]])
def test_bad_positions_are_refused(alanine, bad):
    with pytest.raises(ValueError, match="x: expected"):
        alanine.chart.to_internal(bad)


def both_ways(chart, x):
    z, logdet = chart.to_internal(x)
    y, back = chart.to_cartesian(z)
    return z, logdet, y, back, chart.in_domain(z)


@pytest.mark.parametrize("backend", ["eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_it_compiles_whole(alanine, backend):
    torch.compiler.reset()
    compiled = torch.compile(both_ways, fullgraph=True, backend=backend)
    x = alanine.x[:30].clone().requires_grad_()
    plain, fast = both_ways(alanine.chart, x), compiled(alanine.chart, x)
    for ours, theirs in zip(fast, plain, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-8, rtol=1e-8)
    gradients = [torch.autograd.grad(r[0].square().sum() + r[1].sum(), x)[0] for r in (fast, plain)]
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-6, rtol=1e-8)
