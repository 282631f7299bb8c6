"""The clusters by name, and where chains on them begin."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from systems.particles import DoubleWellCluster, LennardJonesCluster, ParticleCluster

_JITTER = 0.05


@dataclass(frozen=True)
class Named:
    """A cluster.

    Args:
        title: With its convention.
        build: Makes it.
        spacing: Distance of neighbours that no potential minds, where chains begin.
        unit: Of the energy.
    """

    title: str
    build: Callable[[], ParticleCluster]
    spacing: float
    unit: str


SYSTEMS = {
    "dw4": Named("DW4 (each pair once)", DoubleWellCluster, 3.0, "k"),
    "lj13": Named("LJ13 (each pair once, with the oscillator)", LennardJonesCluster, 1.1, "ε"),
    "lj55": Named("LJ55 (each pair once, with the oscillator)",
                  lambda: LennardJonesCluster(55), 1.1, "ε"),
}  # fmt: skip


def starts(system: str, n: int, *, generator: Generator) -> Tensor:
    """Configurations without overlap to begin chains with, centred, float64 (n, N, n_dims).

    The N sites of a square or cubic lattice that are nearest to its middle, each site moved by a
    normal number of 5 % of the spacing.
    """
    named = SYSTEMS[system]
    n_particles, n_dims = named.build().event_shape
    side = torch.arange(n_particles, dtype=torch.float64) - (n_particles - 1) // 2
    reach = side[side.abs() <= int(n_particles ** (1 / n_dims)) + 1]
    sites = torch.cartesian_prod(*[reach] * n_dims).reshape(-1, n_dims)
    nearest = sites[sites.square().sum(1).argsort(stable=True)[:n_particles]]
    moved = nearest + _JITTER * torch.randn(
        n, n_particles, n_dims, generator=generator, dtype=torch.float64
    )
    x = named.spacing * moved
    return x - x.mean(1, keepdim=True)
