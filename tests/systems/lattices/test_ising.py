import itertools
import math

import pytest
import torch

from systems.lattices import ContinuousIsing, Ising
from systems.lattices.exact import enumerate_ising

DOUBLE = torch.float64


def all_spins(shape):
    n = math.prod(shape)
    states = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=n)), dtype=DOUBLE)
    return states.reshape(-1, *shape)


@pytest.mark.parametrize("shape", [(5,), (3, 3), (2, 4), (2, 2, 3)])
@pytest.mark.parametrize("at", [(1.0, 1.0, 0.0), (2.3, 0.7, 0.4), (3.0, -1.0, 0.2)])
def test_the_discrete_energy_gives_the_partition_function(shape, at):
    spins = all_spins(shape)
    c = torch.tensor([at], dtype=DOUBLE).expand(len(spins), 3)
    energy, slopes = Ising(shape, {}).energy_and_denergy_dc(spins, c)
    exact = enumerate_ising(shape)
    assert float((-energy).logsumexp(0)) == pytest.approx(exact.log_partition(*at), rel=1e-12)
    p = (-energy).softmax(0)
    mean = float((p * slopes[:, 0]).sum())
    assert mean == pytest.approx(-exact.energy(*at) / at[0] ** 2, rel=1e-10)
    assert float(-(p * slopes[:, 2]).sum()) == pytest.approx(
        exact.magnetisation(*at) * math.prod(shape) / at[0], abs=1e-10
    )


@pytest.mark.parametrize("margin", [1.05, 2.0])
@pytest.mark.parametrize("at", [(1.7, 1.0, 0.0), (2.5, 1.0, 0.3), (2.0, -1.0, 0.1)])
def test_the_field_has_the_partition_function_of_the_spins(margin, at):
    """The integral over a ring of three by a trapezoid sum, which converges exponentially."""
    shape = (3,)
    target = ContinuousIsing(shape, {}, margin=margin)
    nodes = torch.linspace(-16, 16, 161, dtype=DOUBLE)
    x = torch.cartesian_prod(nodes, nodes, nodes)
    c = torch.tensor([at], dtype=DOUBLE).expand(len(x), 3)
    energy, slopes = target.energy_and_denergy_dc(x, c)
    exact = enumerate_ising(shape)
    log_z = float((-energy).logsumexp(0)) + 3 * math.log(32 / 160)
    assert log_z == pytest.approx(exact.log_partition(*at), abs=1e-7)
    mean = ((-energy).softmax(0)[:, None] * slopes).sum(0)
    assert float(mean[0]) == pytest.approx(-exact.energy(*at) / at[0] ** 2, abs=1e-6)
    assert float(mean[1]) == pytest.approx(-exact.bond_sum(*at) / at[0], abs=1e-6)
    assert float(mean[2]) == pytest.approx(-exact.magnetisation(*at) * 3 / at[0], abs=1e-6)


def exact_spins(shape, at, n, generator):
    spins = all_spins(shape)
    c = torch.tensor([at], dtype=DOUBLE).expand(len(spins), 3)
    p = (-Ising(shape, {}).energy(spins, c)).softmax(0)
    return spins[torch.multinomial(p, n, replacement=True, generator=generator)]


@pytest.mark.parametrize("at", [(1.8, 1.0, 0.0), (2.5, 1.0, 0.3)])
def test_spins_to_field_and_back_keep_the_distribution(at):
    """The field drawn from exact spins gives exact importance weights and spins again."""
    shape, n = (3, 3), 40_000
    generator = torch.Generator().manual_seed(5)
    target, c = ContinuousIsing(shape, {}), torch.tensor([at], dtype=DOUBLE).expand(n, 3)
    spins = exact_spins(shape, at, n, generator)
    x = target.field(spins, c, generator=generator)
    again = target.spins(x, c, generator=generator)
    exact = enumerate_ising(shape)
    m = again.mean((1, 2))
    for values, expected in (
        (m, exact.magnetisation(*at)),
        (m.abs(), exact.absolute_magnetisation(*at)),
        (m**4, exact.magnetisation_fourth(*at)),
        (target.spin_means(x, c).mean((1, 2)), exact.magnetisation(*at)),
        (target.denergy_dc(x, c)[:, 0], -exact.energy(*at) / at[0] ** 2),
    ):
        error = float(values.std()) / n**0.5
        assert abs(float(values.mean()) - expected) < 4 * error


def test_field_given_spins_has_the_covariance_it_says():
    shape, n = (4,), 100_000
    target = ContinuousIsing(shape, {"T": 2.0, "J": 1.0, "h": 0.0}, margin=1.5)
    spins = torch.tensor([1.0, 1.0, -1.0, 1.0], dtype=DOUBLE).expand(n, 4)
    generator = torch.Generator().manual_seed(2)
    x = target.field(spins, torch.empty(n, 0, dtype=DOUBLE), generator=generator)
    ring = torch.eye(4, dtype=DOUBLE).roll(1, 1)
    matrix = (ring + ring.T + 3.0 * torch.eye(4, dtype=DOUBLE)) / 2
    error = 4 * float(matrix.max()) * (2 / n) ** 0.5
    torch.testing.assert_close(x.T.cov(), matrix, atol=error, rtol=0)
    torch.testing.assert_close(x.mean(0), matrix @ spins[0], atol=4 * (1.5 / n) ** 0.5, rtol=0)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: ContinuousIsing((4, 4), margin=1.0), "margin: expected a number of at least 1.01"),
        (lambda: ContinuousIsing((4, 4)).energy(torch.zeros(1, 4, 4), 0.0), "T: expected"),
        (lambda: Ising((4, 4)).energy(torch.ones(1, 4, 4), -1.0), "T: expected"),
        (lambda: Ising((4, 4)).energy(torch.ones(1, 4, 4), math.nan), "T: expected"),
        (
            lambda: ContinuousIsing((4,)).field(
                torch.zeros(1, 4), 1.0, generator=torch.Generator()
            ),
            r"spins: expected \+1 and -1",
        ),
        (
            lambda: ContinuousIsing((4,), {"J": 0.0, "h": 0.0}).energy(torch.zeros(1, 4), 1.0),
            "J: expected a number other than 0",
        ),
    ],
)
def test_bad_input_is_named(make, complaint):
    with pytest.raises(ValueError, match=complaint):
        make()
