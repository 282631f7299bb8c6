"""Bond lengths, angles and torsions of batched positions, and the atoms that they place.

Vectors lie along axis -2 and the batch along axis -1, so that every step reads and writes whole
rows of the batch. On a CPU this is several times faster than the usual (B, n, 3).
"""

import torch
from torch import Tensor

TURN = 2 * torch.pi


def wrap(theta: Tensor) -> Tensor:
    """Bring angles into [-pi, pi), to rounding, by whole turns."""
    return torch.remainder(theta + torch.pi, TURN) - torch.pi


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Scalar product, (..., 3, B) twice -> (..., 1, B)."""
    return (a * b).sum(-2, keepdim=True)


def unit(a: Tensor) -> Tensor:
    """Vector of length one along a, (..., 3, B) -> (..., 3, B)."""
    return a * dot(a, a).rsqrt()


def cross(a: Tensor, b: Tensor) -> Tensor:
    """Vector product, (..., 3, B) twice -> (..., 3, B)."""
    ax, ay, az = a.unbind(-2)
    bx, by, bz = b.unbind(-2)
    return torch.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], -2)


def length(a: Tensor) -> Tensor:
    """Length of vectors, (..., 3, B) -> (..., B)."""
    return (a * a).sum(-2).sqrt()


def angle(a: Tensor, b: Tensor) -> Tensor:
    """Angle between a and b in [0, pi], accurate near both ends, (..., 3, B) -> (..., B)."""
    return torch.atan2(length(cross(a, b)), (a * b).sum(-2))


def torsion(a: Tensor, axis: Tensor, d: Tensor) -> Tensor:
    """IUPAC torsion of the chain a-b-c-d, clockwise positive, in [-pi, pi].

    Args:
        a: From b to a, shape (..., 3, B).
        axis: From b to c.
        d: From c to d.

    Returns:
        Shape (..., B), rad.
    """
    direction = unit(axis)
    sine = dot(cross(direction, a), d)
    cosine = dot(a, d) - dot(a, direction) * dot(d, direction)
    return torch.atan2(sine, cosine).squeeze(-2)


def place(references: tuple[Tensor, Tensor, Tensor], local: Tensor) -> Tensor:
    """Place atoms by their components in the frames of their references.

    Args:
        references: Positions of the bond, angle and torsion references, each (..., 3, B).
        local: For bond r, angle theta and torsion phi of each atom the components
            (r cos theta, r sin theta cos phi, r sin theta sin phi), shape (..., 3, B).

    Returns:
        Positions, shape (..., 3, B).

    References:
        Parsons et al., J. Comput. Chem. 26, 1063 (2005), natural extension reference frame.
    """
    a, b, c = references
    along = unit(b - a)
    arm = c - b
    in_plane = unit(arm - dot(arm, along) * along)
    normal = cross(in_plane, along)
    first, second, third = local.split(1, -2)
    return a + first * along + second * in_plane + third * normal
