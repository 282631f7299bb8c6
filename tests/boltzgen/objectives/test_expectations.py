import math

import pytest
import torch

from boltzgen.errors import NonFiniteError
from boltzgen.objectives import ControlGrid, ExpectationTable
from systems.toys import DoubleWell2D, HarmonicWell
from tests.boltzgen.objectives.families import DOUBLE, PowerNormal, Walled

VALUES = torch.tensor([0.7, 0.8, 0.9, 1.0], dtype=DOUBLE)
GRID = ControlGrid(VALUES, (3,))
LIKE = torch.zeros(1, dtype=DOUBLE)


def table_of(target, density, generator, n_samples=2000, n_refreshes=1, memory=0.999):
    table = ExpectationTable(GRID, n_samples=n_samples, memory=memory)
    for _ in range(n_refreshes):
        table.refresh(density, target, like=LIKE, generator=generator)
    return table


@pytest.mark.parametrize(
    ("target", "density"),
    [
        (HarmonicWell(n_dims=2), PowerNormal(a=0.3, b=0.2)),
        (DoubleWell2D(), PowerNormal(a=1.0, b=0.5)),
    ],
    ids=["harmonic", "double well"],
)
def test_both_columns_are_exact_within_their_own_error(generator, target, density):
    """E[dE/dc] = -U / T^2 and log Z from a density that is not the target's, against the spread of
    40 tables of 4,000 samples; the bias of a ratio is below 1 / 10 of its error at that size."""
    tables = [table_of(target, density, generator, 4000) for _ in range(40)]
    for k, T in enumerate(VALUES.tolist()):
        exact = {"mean_slope": -target.mean_potential(T) / T**2, "log_z": target.log_partition(T)}
        for name, value in exact.items():
            found = torch.stack([getattr(table, name)[k] for table in tables])
            assert abs(found.mean() - value) < 4 * found.std() / 40**0.5, f"{name} at {T}"
            assert found.std() < 0.1 * (1 + abs(value))


def test_the_spread_is_the_heat_capacity(generator):
    """Var[dE/dT] = Var(U) / T^4 = C / T^2, against the spread of 40 tables."""
    target, density = DoubleWell2D(), PowerNormal(a=1.0, b=0.5)
    tables = [table_of(target, density, generator, 4000) for _ in range(40)]
    for k, T in enumerate(VALUES.tolist()):
        found = torch.stack([table.spread[k] for table in tables])
        assert abs(found.mean() - target.heat_capacity(T) / T**2) < 4 * found.std() / 40**0.5


def test_a_mean_is_worth_the_samples_of_all_refreshes(generator):
    """With the exact density every weight is the same: worth N a refresh while all count."""
    table = table_of(HarmonicWell(n_dims=2), PowerNormal(), generator, 50, n_refreshes=3)
    torch.testing.assert_close(table.worth(), torch.full_like(VALUES, 150.0))
    young = ExpectationTable(GRID, n_samples=50, memory=0.5)
    for _ in range(40):
        young.refresh(PowerNormal(), HarmonicWell(n_dims=2), like=LIKE, generator=generator)
    torch.testing.assert_close(young.worth(), torch.full_like(VALUES, 150.0))


def test_the_exact_density_has_no_error_in_log_z(generator):
    target = HarmonicWell(n_dims=2)
    table = table_of(target, PowerNormal(), generator, 50)
    expected = torch.tensor([target.log_partition(T) for T in VALUES.tolist()], dtype=DOUBLE)
    torch.testing.assert_close(table.log_z, expected, rtol=0, atol=1e-12)


def test_integration_of_the_table_gives_log_z():
    """d log Z / dT = d / 2 T for the harmonic well; the trapezoid is exact to 1e-3 on this grid,
    and to rounding for a linear integrand."""
    table = ExpectationTable(GRID, n_samples=2)
    target = HarmonicWell(n_dims=2)
    table.mean_slope.copy_(-1 / VALUES)
    expected = [target.log_partition(T) - target.log_partition(0.7) for T in VALUES.tolist()]
    found = table.integrated_log_z()
    torch.testing.assert_close(found, torch.tensor(expected, dtype=DOUBLE), rtol=0, atol=1e-2)
    table.mean_slope.copy_(-2 * VALUES)
    torch.testing.assert_close(table.integrated_log_z(), VALUES**2 - 0.49, rtol=0, atol=1e-14)


def test_young_values_are_averages_and_old_ones_fade(generator):
    target, density = HarmonicWell(n_dims=2), PowerNormal(a=0.5)
    stream = generator.get_state()
    fresh = [table_of(target, density, generator, 50).log_z for _ in range(5)]
    generator.set_state(stream)
    plain = table_of(target, density, generator, 50, n_refreshes=5)
    torch.testing.assert_close(plain.log_z, torch.stack(fresh).mean(0), rtol=1e-12, atol=0)
    generator.set_state(stream)
    forgetful = table_of(target, density, generator, 50, n_refreshes=5, memory=0.5)
    running = fresh[0]
    for new in fresh[1:]:
        running = 0.5 * running + 0.5 * new
    torch.testing.assert_close(forgetful.log_z, running, rtol=1e-12, atol=0)
    assert int(plain.n_refreshes) == 5


def test_forbidden_samples_have_no_weight(generator):
    """Half of the plane is forbidden: log Z falls by log 2, the mean energy stays."""
    target, whole = Walled(wall=0.0), HarmonicWell(n_dims=2)
    tables = [table_of(target, PowerNormal(), generator) for _ in range(40)]
    for k, T in enumerate(VALUES.tolist()):
        exact = {"mean_slope": -1 / T, "log_z": whole.log_partition(T) - math.log(2)}
        for name, value in exact.items():
            found = torch.stack([getattr(table, name)[k] for table in tables])
            assert abs(found.mean() - value) < 4 * found.std() / 40**0.5, f"{name} at {T}"


def test_a_point_without_an_allowed_sample_has_no_estimate(generator):
    nowhere, whole = Walled(wall=-math.inf), HarmonicWell(n_dims=2)
    table = table_of(nowhere, PowerNormal(), generator)
    assert table.mean_slope.isnan().all()
    assert table.log_z.isnan().all()
    table.refresh(PowerNormal(), whole, like=LIKE, generator=generator)
    first = table.log_z.clone()
    expected = torch.tensor([whole.log_partition(T) for T in VALUES.tolist()], dtype=DOUBLE)
    torch.testing.assert_close(first, expected, rtol=0, atol=1e-12)
    table.refresh(PowerNormal(), nowhere, like=LIKE, generator=generator)
    assert torch.equal(table.log_z, first)


def test_a_target_that_leaks_nan_is_refused(generator):
    with pytest.raises(NonFiniteError, match="table: a log-weight .* is NaN"):
        table_of(Walled(value=math.nan), PowerNormal(), generator)


def test_when_it_is_due(generator):
    table = ExpectationTable(GRID, n_samples=2, every=100)
    assert table.due(37)
    table.refresh(PowerNormal(), HarmonicWell(n_dims=2), like=LIKE, generator=generator)
    assert [step for step in range(250) if table.due(step)] == [0, 100, 200]


def test_state_and_bad_arguments():
    table = ExpectationTable(GRID, n_samples=2)
    assert set(table.state_dict()) == {
        "mean_slope", "log_z", "spread", "noise", "n_refreshes", "grid.values",
    }  # fmt: skip
    for options in ({"n_samples": 1}, {"every": 0}, {"memory": 1.0}, {"memory": -0.1}):
        with pytest.raises(ValueError, match="n_samples, every, memory"):
            ExpectationTable(GRID, **({"n_samples": 2} | options))
