"""Periodic hypercubic lattices in one to three dimensions: shape, neighbours, momenta, masks."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

MAX_DIMENSIONS = 3


def check_lattice(shape: Sequence[int], *, even: bool = False) -> tuple[int, ...]:
    """Require one to three lengths of at least 2; return them as a tuple.

    Args:
        shape: Lengths (L_1, ..., L_d) in sites.
        even: Whether every length must be even, as a checkerboard needs it.

    Raises:
        ValueError: Another number of dimensions, a length below 2, or an odd one.
    """
    lengths = tuple(shape)
    whole = all(isinstance(n, int) and not isinstance(n, bool) and n >= 2 for n in lengths)
    if not 1 <= len(lengths) <= MAX_DIMENSIONS or not whole:
        raise ValueError(
            f"shape: expected 1 to {MAX_DIMENSIONS} lengths of at least 2, got {tuple(shape)}"
        )
    if even and any(n % 2 for n in lengths):
        raise ValueError(f"shape: expected even lengths for a checkerboard, got {lengths}")
    return lengths


def n_sites(shape: Sequence[int]) -> int:
    """Number of sites V."""
    return math.prod(check_lattice(shape))


def neighbour_table(shape: Sequence[int]) -> np.ndarray:
    """Flat indices of the 2 d neighbours of every site.

    Columns are the forward neighbours x + mu of every direction, then the backward ones x - mu.
    Where a length is 2 the forward and backward neighbour are one site, listed twice: such a bond
    counts twice in every action here, as it does in the usual sum over sites and directions.

    Args:
        shape: Lengths of the lattice.

    Returns:
        Integers of shape (V, 2 d); sites are numbered in row-major (C) order.
    """
    lengths = check_lattice(shape)
    index = np.arange(math.prod(lengths)).reshape(lengths)
    steps = itertools.product((-1, 1), range(len(lengths)))
    return np.stack([np.roll(index, step, axis).ravel() for step, axis in steps], axis=1)


def parity(shape: Sequence[int]) -> np.ndarray:
    """Sublattice of each site, (sum of its coordinates) mod 2, integers of the lattice's shape."""
    lengths = check_lattice(shape)
    return np.indices(lengths).sum(0) % 2


def bond_cosines(shape: Sequence[int]) -> np.ndarray:
    """Sum over directions of cos k_mu at every momentum k_mu = 2 pi n_mu / L_mu.

    They are the eigenvalues of the average of forward and backward hopping, summed over mu; the
    order is that of `numpy.fft.fftn`.

    Args:
        shape: Lengths of the lattice.

    Returns:
        Float64 array of the lattice's shape.
    """
    lengths = check_lattice(shape)
    axes = [np.cos(2 * np.pi * np.fft.fftfreq(n)) for n in lengths]
    grids = np.meshgrid(*axes, indexing="ij")
    return np.sum(grids, axis=0)


def neighbour_sum(x: Tensor, n_dims: int) -> Tensor:
    """Sum of x over the 2 d nearest neighbours of every site.

    Args:
        x: Field, shape (..., L_1, ..., L_d).
        n_dims: d.

    Returns:
        Same shape as x.
    """
    total = torch.zeros_like(x)
    for axis, step in itertools.product(range(-n_dims, 0), (-1, 1)):
        total = total + x.roll(step, axis)
    return total


def forward_sum(x: Tensor, n_dims: int) -> Tensor:
    """Sum of x over the d forward neighbours of every site, shape of x."""
    total = torch.zeros_like(x)
    for axis in range(-n_dims, 0):
        total = total + x.roll(-1, axis)
    return total
