"""Distances, angles and torsions of many configurations, with the batch as the innermost axis.

Positions are (3, n_atoms, B); indices are (M,); results are (M, B).
"""

import torch
from torch import Tensor


def displacement(x: Tensor, i: Tensor, j: Tensor) -> Tensor:
    """Vectors from atoms i to atoms j, shape (3, M, B)."""
    return x.index_select(1, j) - x.index_select(1, i)


def norm(v: Tensor) -> Tensor:
    """Length of vectors (3, M, B) -> (M, B)."""
    return v.square().sum(0).sqrt()


def distance(x: Tensor, i: Tensor, j: Tensor) -> Tensor:
    """Distance of atoms i and j."""
    return norm(displacement(x, i, j))


def angle_between(a: Tensor, b: Tensor) -> Tensor:
    """Angle of two vectors in [0, pi], accurate near both ends."""
    return torch.atan2(norm(torch.linalg.cross(a, b, dim=0)), (a * b).sum(0))


def angle(x: Tensor, i: Tensor, j: Tensor, k: Tensor) -> Tensor:
    """Angle at atom j between i and k, in [0, pi]."""
    return angle_between(displacement(x, j, i), displacement(x, j, k))


def torsion_between(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Torsion of three consecutive bond vectors in (-pi, pi], 0 for cis."""
    second = torch.linalg.cross(b, c, dim=0)
    first = torch.linalg.cross(a, b, dim=0)
    return torch.atan2(norm(b) * (a * second).sum(0), (first * second).sum(0))


def torsion(x: Tensor, i: Tensor, j: Tensor, k: Tensor, m: Tensor) -> Tensor:
    """Torsion i-j-k-m in (-pi, pi], 0 for cis, positive clockwise along j-k (IUPAC)."""
    return torsion_between(displacement(x, i, j), displacement(x, j, k), displacement(x, k, m))
