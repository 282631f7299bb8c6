import math

import pytest
import torch

from boltzgen.objectives import CausalSampler, ControlGrid, log_spaced_grid


def make_grid(n, boundaries):
    return ControlGrid(torch.arange(1, n + 1, dtype=torch.float64), boundaries)


def sampler_with(losses, boundaries, strength=0.7):
    sampler = CausalSampler(make_grid(len(losses), boundaries), strength=strength)
    sampler.losses.copy_(torch.as_tensor(losses, dtype=torch.float64))
    return sampler


@pytest.mark.parametrize("boundary", [0, 3, 7])
def test_a_constant_loss_weighs_by_the_distance(boundary):
    """Spec (h) 5: log-weights -strength l |i - b|."""
    found = sampler_with([0.3] * 8, (boundary,)).log_weights()
    expected = -0.7 * 0.3 * (torch.arange(8, dtype=torch.float64) - boundary).abs()
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-15)


def test_two_boundaries_of_a_symmetric_grid_are_symmetric(generator):
    half = torch.rand(5, generator=generator, dtype=torch.float64)
    found = sampler_with(torch.cat([half, half.flip(0)]), (0, 9)).log_weights()
    torch.testing.assert_close(found, found.flip(0), rtol=1e-12, atol=1e-14)
    assert found[0] == 0
    assert bool((found[1:9] < 0).all())


def by_hand(losses, boundaries, strength, i):
    """The weight of point i from the definition, by sums over points."""
    lefts = [b for b in boundaries if b <= i]
    rights = [b for b in boundaries if b >= i]
    left = math.exp(-strength * sum(losses[max(lefts) : i])) if lefts else None
    right = math.exp(-strength * sum(losses[i + 1 : min(rights) + 1])) if rights else None
    if left is None or right is None:
        return right if left is None else left
    distance = min(rights) - max(lefts)
    share = (i - max(lefts)) / distance if distance else 0.0
    return (1 - share) * left + share * right


@pytest.mark.parametrize("boundaries", [(0,), (6,), (11,), (0, 11), (2, 7), (1, 4, 9), (5, 6)])
def test_log_weights_against_the_definition(generator, boundaries):
    for strength in (0.0, 0.1, 3.0):
        losses = torch.rand(12, generator=generator, dtype=torch.float64)
        found = sampler_with(losses, boundaries, strength).log_weights()
        expected = [by_hand(losses.tolist(), boundaries, strength, i) for i in range(12)]
        torch.testing.assert_close(
            found.exp(), torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=0
        )


def test_draws_follow_the_weights(generator):
    """Pearson's chi-square of 100,000 draws on 11 degrees of freedom below 45 (p = 5e-6)."""
    losses = torch.rand(12, generator=generator, dtype=torch.float64)
    sampler = sampler_with(losses, (4,), 1.0)
    share = sampler.log_weights().softmax(0)
    counts = torch.bincount(sampler.draw(100_000, generator=generator), minlength=12)
    assert ((counts - 1e5 * share).square() / (1e5 * share)).sum() < 45


def test_an_unlearnt_point_hides_those_behind_it(generator):
    losses = [0.0, 0.0, 1e4, 0.0, 0.0]
    draws = sampler_with(losses, (0,), 1.0).draw(1000, generator=generator)
    assert set(draws.tolist()) == {0, 1, 2}


def test_record_moves_by_the_number_of_hits():
    sampler = CausalSampler(make_grid(4, (0,)), memory=0.8)
    sampler.losses.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    sampler.record(torch.tensor([1, 3, 1, 1]), torch.tensor([1.0, 8.0, 2.0, 6.0]))
    keep = 0.8**3
    expected = [1.0, keep * 2 + (1 - keep) * 3, 3.0, 0.8 * 4 + 0.2 * 8]
    torch.testing.assert_close(
        sampler.losses, torch.tensor(expected, dtype=torch.float64), rtol=1e-14, atol=0
    )
    before = sampler.losses.clone()
    sampler.record(torch.zeros(0, dtype=torch.long), torch.zeros(0))
    assert torch.equal(sampler.losses, before)


def test_losses_are_saved():
    sampler = CausalSampler(make_grid(4, (0,)))
    assert set(sampler.state_dict()) == {"losses"}


@pytest.mark.parametrize("boundary", [300.0, 424.0, 600.0, 700.0, 300.0 * 2**0.5])
def test_log_spaced_grid(boundary):
    """Even in log c to the float32 with which inner points are placed; ends and boundary exact."""
    grid = log_spaced_grid(300.0, 600.0, 9, boundary)
    values = grid.values.tolist()
    assert grid.boundaries == (values.index(boundary),)
    assert 300.0 in values
    assert 600.0 in values
    even = [300.0 * 2 ** (k / 8) for k in range(9)]
    assert all(min(abs(v / e - 1) for v in values) < 1e-6 for e in even)
    assert len(grid) in (9, 10)
    assert values == sorted(values)


@pytest.mark.parametrize("values", [[1.0], [1.0, 1.0], [2.0, 1.0], [-1.0, 1.0]])
def test_bad_grids(values):
    with pytest.raises(ValueError, match="values: expected"):
        ControlGrid(torch.tensor(values), (0,))


def test_bad_boundaries_and_samplers():
    for boundaries in ((), (3,), (-1,)):
        with pytest.raises(ValueError, match="boundaries: expected indices below 3"):
            make_grid(3, boundaries)
    for options in ({"strength": -1.0}, {"memory": 1.0}, {"memory": -0.1}):
        with pytest.raises(ValueError, match="strength, memory"):
            CausalSampler(make_grid(3, (0,)), **options)
    with pytest.raises(ValueError, match="n_values"):
        log_spaced_grid(1.0, 2.0, 1, 1.0)


def test_a_grid_may_have_several_boundaries():
    grid = log_spaced_grid(0.22, 0.32, 11, boundary=(0.25, 0.29))
    assert [round(float(grid.values[i]), 12) for i in grid.boundaries] == [0.25, 0.29]
    assert len(grid) == 13
    assert bool((grid.values.diff() > 0).all())
    assert float(grid.values[0]) == 0.22
    assert float(grid.values[-1]) == 0.32
