import torch
from torch import nn

from boltzgen.random import draw_seed, seeded, spawn


def stream(seed=1):
    return torch.Generator().manual_seed(seed)


def test_children_repeat_with_the_parent_and_differ_from_each_other():
    first, again = (
        [torch.rand(4, generator=child) for child in spawn(stream(), 3)] for _ in range(2)
    )
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[1], first[2])


def test_spawning_advances_the_parent():
    parent = stream()
    before = parent.get_state()
    (first,) = spawn(parent, 1)
    (second,) = spawn(parent, 1)
    assert not torch.equal(parent.get_state(), before)
    assert first.initial_seed() != second.initial_seed()


def test_children_are_uncorrelated():
    """Correlation of n independent normals has standard deviation 1 / sqrt(n)."""
    n = 100_000
    a, b = (torch.randn(n, generator=child) for child in spawn(stream(), 2))
    assert abs((a * b).mean().item()) * n**0.5 < 4


def test_seeds_fit_other_libraries():
    generator = stream()
    seeds = [draw_seed(generator) for _ in range(100)]
    assert all(isinstance(seed, int) and 0 < seed < 2**31 for seed in seeds)
    assert len(set(seeds)) == 100


def test_layers_built_in_seeded_repeat_and_leave_the_global_stream_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    weights = []
    for _ in range(2):
        with seeded(stream(5)):
            weights.append(nn.Linear(3, 3).weight)
    assert torch.equal(*weights)
    assert torch.equal(torch.rand(3), expected)


def test_seeded_restores_the_global_stream_after_an_error():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    try:
        with seeded(stream()):
            raise KeyError
    except KeyError:
        pass
    assert torch.equal(torch.rand(3), expected)
