import numpy as np
import pytest
import torch

from systems.lattices.geometry import neighbour_table
from systems.lattices.monte_carlo import (
    HeatBath,
    IsingChains,
    Metropolis,
    Schedule,
    make_streams,
    run_ising,
)
from systems.lattices.monte_carlo.local_updates import energy_changes, make_flip_chances
from tests.systems.lattices.monte_carlo.enumeration import bond_sums


@pytest.mark.parametrize("shape", [(4,), (2, 4), (4, 2, 2)])
def test_energy_changes_of_the_classes(shape):
    spins = np.random.default_rng(0).choice([-1, 1], int(np.prod(shape)))
    J, h = 0.7, -0.3
    changes = energy_changes(J, h)
    near = spins[neighbour_table(shape)].sum(1)
    energy = -J * bond_sums(spins[None], shape)[0] - h * spins.sum()
    for site, spin in enumerate(spins):
        other = spins.copy()
        other[site] = -spin
        flipped = -J * bond_sums(other[None], shape)[0] - h * other.sum()
        assert changes[near[site] + 6 + (spin + 1) // 2] == pytest.approx(flipped - energy)


def test_chances_take_one_byte_and_one_word():
    chances = make_flip_chances(np.full((2, 14), 0.3))
    assert chances.heads.dtype == np.uint8
    assert chances.heads.shape == chances.tails.shape == (2, 14)


def chains(spins, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return IsingChains(spins, make_streams(spins.shape[0], generator=generator))


@pytest.mark.parametrize("update", [Metropolis(), HeatBath()])
def test_diagonal_stripes_do_not_move_for_ever(update):
    x, y = np.indices((8, 8))
    stripes = np.where((x + y) % 4 < 2, 1, -1).astype(np.int8)
    start = chains(np.tile(stripes, (50, 1, 1)))
    run = run_ising(start, update, Schedule(200), T=1.5)
    assert (run.bond_sum[:, 0] != 0).mean() > 0.7
    assert run.bond_sum[:, -1].mean() > 64


@pytest.mark.parametrize("rise", [4, 8])
def test_frequency_of_flips_of_one_spin(rise):
    # The first half sweep on identical chains: even spins see fixed neighbours.
    spins = np.ones((20_000, 4, 4), dtype=np.int8)
    if rise == 4:
        spins[:, 0, 1] = -1  # the site (0, 0) has one neighbour down
    T = 3.0
    run = run_ising(chains(spins), Metropolis(), Schedule(1), T=T)
    flipped = run.chains.spins[:, 0, 0] == -1
    p = 15 / 16 * np.exp(-rise / T)
    assert abs(flipped.mean() - p) < 4 * np.sqrt(p * (1 - p) / flipped.size)


def test_rare_flips_happen_as_often_as_they_should():
    T = 8 / np.log(1000)  # far below the resolution of one byte
    spins = np.ones((2000, 16, 16), dtype=np.int8)
    run = run_ising(chains(spins), Metropolis(), Schedule(1), T=T)
    x, y = np.indices((16, 16))
    n_flips = (run.chains.spins[:, (x + y) % 2 == 0] == -1).sum()
    expected = 2000 * 128 * 15 / 16 / 1000
    assert abs(n_flips - expected) < 4 * np.sqrt(expected)
