"""Free energies along a path of chains, and integrals, against exact ones, with honest errors."""

import numpy as np
import pytest

from sweep.lattice import LatticeConfig
from sweep.models import open_lattice
from sweep.results import bennett_along, integral_route


@pytest.fixture(scope="module")
def lattice():
    return open_lattice(
        LatticeConfig(
            kind="phi4", shape=(2,), controls=("kappa",), fixed_names=("lambda",),
            fixed_values=(0.02,),
        )
    )  # fmt: skip


def shifted(rng, n_chains, n_records):
    """Statistics of which only the bonds move: normal, so that free energies are known."""
    bond = rng.normal(size=(n_chains * n_records, 1)) / 2
    zero = np.zeros_like(bond)
    return {
        "statistics": np.concatenate([zero, zero, bond], 1),
        "series": np.zeros((n_chains, 1, 7)),
    }


def test_errors_along_a_path_count_what_steps_share(lattice):
    """Energies -2 kappa V bond with bond ~ N(mean, 1/4): exact log Z is quadratic in kappa."""
    kappas = 0.25 * np.arange(9)
    z = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        chains = []
        for kappa in kappas:
            found = shifted(rng, 8, 50)
            found["statistics"][:, 2] += 2 * kappa * 2 / 4  # the tilt of exp(4 kappa bond)
            chains.append(found)
        path = [{"kappa": k, "lambda": 0.02} for k in kappas]
        curve = bennett_along(lattice, path, chains)
        exact = -((4 * kappas) ** 2) / 8
        z.append((curve.values[1:] - exact[1:]) / curve.errors[1:])
    spread = np.std(z, axis=0)
    assert np.abs(np.mean(z, axis=0)).max() < 4 * 1.2 / 60**0.5
    assert spread.max() < 1.5  # eight chains: t with 7 degrees, 1.18
    assert spread.min() > 0.8


def test_chains_that_never_move_leave_errors_unknown(lattice):
    rng = np.random.default_rng(0)
    chains = [shifted(rng, 4, 20) for _ in range(3)]
    chains[1]["statistics"][:, 2] = 0.5
    path = [{"kappa": k, "lambda": 0.02} for k in (0.0, 0.1, 0.2)]
    assert np.isnan(bennett_along(lattice, path, chains).errors[1:]).all()


def test_the_integral_has_no_bias_that_all_tables_share():
    """Weights and slopes correlated as they are for a flow that is a little off."""
    grid, at, z = np.linspace(0, 1, 11), np.linspace(0, 1, 5), []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(8, 11, 200))
        w = np.exp(0.8 * x)
        sums = np.stack([w.sum(2), (w * (x + grid[:, None])).sum(2)], -1)
        curve = integral_route(grid, sums, at)
        z.append((curve.values[1:] - (0.8 * at + at**2 / 2)[1:]) / curve.errors[1:])
    assert np.abs(np.mean(z, axis=0)).max() < 4 * 1.2 / 60**0.5
    assert 0.8 < np.std(z) < 1.5
