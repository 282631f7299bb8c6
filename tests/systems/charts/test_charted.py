import pytest
import torch
from torch import Tensor

from systems.charts import ChartedTarget
from systems.thermal import ThermalTarget
from tests.systems.charts.molecules import fitted


class Cluster(ThermalTarget):
    """Springs to the distances of a configuration; forbidden or broken where told."""

    def __init__(self, start: Tensor, *, spoil: dict[int, float] | None = None) -> None:
        super().__init__(tuple(start.shape), 8.31446e-3)
        self.rest = torch.cdist(start, start)
        self.spoil = spoil or {}

    def potential(self, x: Tensor) -> Tensor:
        i, j = torch.triu_indices(x.shape[1], x.shape[1], 1)
        length = (x[:, i] - x[:, j]).square().sum(-1).sqrt()
        energy = 500 * (length - self.rest[i, j].to(x.dtype)).square().sum(1)
        for row, value in self.spoil.items():
            scale = torch.ones_like(energy)
            scale[row] = value
            energy = energy * scale
        return energy


@pytest.fixture
def target():
    case = fitted("ala")
    return ChartedTarget(Cluster(torch.from_numpy(case.molecule.start)), case.chart)


@pytest.fixture
def z():
    case = fitted("ala")
    return case.chart.to_internal(case.x[:8])[0]


def spoiled(spoil):
    case = fitted("ala")
    return ChartedTarget(Cluster(torch.from_numpy(case.molecule.start), spoil=spoil), case.chart)


def test_energy_gains_the_volume(target, z):
    x, logdet = target.chart.to_cartesian(z)
    expected = target.target.energy(x, 450.0) - logdet
    torch.testing.assert_close(target.energy(z, 450.0), expected)
    assert target.control_names == ("temperature",)
    assert target.event_shape == (60,)


def test_derivative_in_the_temperature(target, z):
    temperature = torch.linspace(300, 600, len(z), dtype=z.dtype).requires_grad_()
    energy, slope = target.energy_and_denergy_dc(z, temperature)
    (expected,) = torch.autograd.grad(energy.sum(), temperature)
    torch.testing.assert_close(slope[:, 0], expected)
    torch.testing.assert_close(target.denergy_dT(z, temperature), expected)
    torch.testing.assert_close(target.denergy_dc(z, temperature), expected[:, None])
    torch.testing.assert_close(target.energy(z, temperature), energy)


def test_gradient_against_differences(target, z):
    z = z[:2].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: target.energy(z, 500.0), z, atol=1e-4)


def outside(z, chart):
    """Rows 1, 3 and 5 out of the domain in three ways: an inverted centre, a far point, NaN."""
    z = z.clone()
    z[1, chart.n_narrow - 3] += 200.0
    z[3] = 1e30
    z[5, 0] = torch.nan
    assert chart.in_domain(z).tolist() == [True, False, True, False, True, False, True, True]
    return z


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_outside_the_energy_is_infinite_and_flat(target, z, dtype):
    wild = outside(z, target.chart).to(dtype).requires_grad_()
    energy, slope = target.energy_and_denergy_dc(wild, 400.0)
    forbidden = torch.tensor([False, True, False, True, False, True, False, False])
    assert torch.equal(energy.isposinf(), forbidden)
    assert torch.equal(target.energy(wild, 400.0).isposinf(), forbidden)
    assert (slope[forbidden] == 0).all()
    assert slope.isfinite().all()
    (gradient,) = torch.autograd.grad(energy[~forbidden].sum(), wild)
    (every,) = torch.autograd.grad(target.energy(wild, 400.0).sum(), wild)
    calm = z.to(dtype).requires_grad_()
    (expected,) = torch.autograd.grad(target.energy(calm, 400.0).sum(), calm)
    for found in (gradient, every):
        assert (found[forbidden] == 0).all()
        torch.testing.assert_close(found[~forbidden], expected[~forbidden])


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_where_the_target_breaks_the_energy_is_infinite_and_flat(target, z, value):
    broken = spoiled({2: value, 6: value})
    z = z.clone().requires_grad_()
    energy, slope = broken.energy_and_denergy_dc(z, 400.0)
    forbidden = torch.zeros(len(z), dtype=torch.bool)
    forbidden[[2, 6]] = True
    assert torch.equal(energy.isposinf(), forbidden)
    assert (slope[forbidden] == 0).all()
    (gradient,) = torch.autograd.grad(broken.energy(z, 400.0).sum(), z)
    (expected,) = torch.autograd.grad(target.energy(z, 400.0).sum(), z)
    assert (gradient[forbidden] == 0).all()
    torch.testing.assert_close(gradient[~forbidden], expected[~forbidden])


def test_a_batch_all_outside(target, z):
    wild = torch.full_like(z, torch.nan).requires_grad_()
    energy = target.energy(wild, 400.0)
    assert energy.isposinf().all()
    (gradient,) = torch.autograd.grad(energy.sum(), wild)
    assert (gradient == 0).all()


def test_arguments_stay_as_they_are(target, z):
    wild = outside(z, target.chart)
    before = wild.clone()
    target.energy_and_denergy_dc(wild, 400.0)
    assert torch.equal(wild.nan_to_num(), before.nan_to_num())


def test_another_molecule_is_refused():
    water = fitted("water")
    chart = fitted("ala").chart
    with pytest.raises(ValueError, match=r"event shape \(22, 3\) of the chart, got \(3, 3\)"):
        ChartedTarget(Cluster(torch.from_numpy(water.molecule.start)), chart)
