"""Bond lengths, angles and torsions of batched positions, and the atom that they place."""

import torch
from torch import Tensor


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Distance of points, (..., 3) and (..., 3) -> (...)."""
    return torch.linalg.vector_norm(a - b, dim=-1)


def angle(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Angle at b in (0, pi), accurate near both ends, (..., 3) thrice -> (...)."""
    u, v = a - b, c - b
    sine = torch.linalg.vector_norm(torch.linalg.cross(u, v), dim=-1)
    return torch.atan2(sine, (u * v).sum(-1))


def torsion(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """IUPAC torsion about b-c in (-pi, pi], (..., 3) four times -> (...)."""
    ba, bc, cd = a - b, c - b, d - c
    axis = bc / torch.linalg.vector_norm(bc, dim=-1, keepdim=True)
    normal = torch.linalg.cross(axis, ba)
    along = (normal * cd).sum(-1)
    across = -(torch.linalg.cross(axis, normal) * cd).sum(-1)
    return torch.atan2(along, across)


def wrap(theta: Tensor) -> Tensor:
    """Bring angles into [-pi, pi) by whole turns."""
    return torch.remainder(theta + torch.pi, 2 * torch.pi) - torch.pi


def place(references: tuple[Tensor, Tensor, Tensor], internal: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Place an atom by its bond, angle and torsion (natural extension reference frame).

    Args:
        references: Positions of the bond, angle and torsion references, each (..., 3).
        internal: Bond length, angle and torsion, each (...).

    Returns:
        Position, (..., 3).

    References:
        Parsons et al., J. Comput. Chem. 26, 1063 (2005).
    """
    a, b, c = references
    bond, theta, phi = internal
    axis = (a - b) / torch.linalg.vector_norm(a - b, dim=-1, keepdim=True)
    normal = torch.linalg.cross(b - c, axis)
    normal = normal / torch.linalg.vector_norm(normal, dim=-1, keepdim=True)
    third = torch.linalg.cross(normal, axis)
    sine = bond * theta.sin()
    return (
        a
        - (bond * theta.cos())[..., None] * axis
        + (sine * phi.cos())[..., None] * third
        + (sine * phi.sin())[..., None] * normal
    )
