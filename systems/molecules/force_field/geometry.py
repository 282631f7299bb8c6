"""Lengths, angles and torsions of vectors, with the batch as the innermost axis.

A vector is the three tensors of its components, each (M, B); results are (M, B).
"""

import torch
from torch import Tensor

Vector = tuple[Tensor, Tensor, Tensor]


def norm(v: Vector) -> Tensor:
    """Length of vectors, with zero as its derivative where it is zero."""
    return root(dot(v, v))


def root(squared: Tensor) -> Tensor:
    """Square root, with zero as its derivative at zero."""
    some = squared != 0  # what is not a number stays so
    return torch.where(some, torch.where(some, squared, 1.0).sqrt(), 0.0)


def dot(a: Vector, b: Vector) -> Tensor:
    """Inner product of vectors."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def cross(a: Vector, b: Vector) -> Vector:
    """Outer product of vectors."""
    return (
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    )


def angle(a: Vector, b: Vector) -> Tensor:
    """Angle of two vectors in [0, pi], accurate near both ends."""
    return torch.atan2(norm(cross(a, b)), dot(a, b))


def torsion(a: Vector, b: Vector, c: Vector) -> Tensor:
    """Torsion of three consecutive bond vectors in (-pi, pi].

    It is 0 for cis, and positive clockwise along the middle one (IUPAC).
    """
    first, second = cross(a, b), cross(b, c)
    return torch.atan2(norm(b) * dot(a, second), dot(first, second))


def direction(a: Vector, b: Vector, c: Vector) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the torsion of three consecutive bond vectors; 1 and 0 where undefined."""
    first, second = cross(a, b), cross(b, c)
    x, y = dot(first, second), norm(b) * dot(a, second)
    squared = x * x + y * y
    known = squared > 0
    inverse = torch.where(known, squared, 1.0).rsqrt()
    return torch.where(known, x * inverse, 1.0), y * inverse
