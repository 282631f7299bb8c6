"""Equivalent hydrogens of methyl-like groups: one canonical labelling out of six.

Three equal leaves on one atom (CH3, NH3+, CF3) can be relabelled in 3! ways at no cost in energy.
A flow that had to learn all six copies would waste its capacity, so the chart keeps one:

* the leaves are numbered by increasing phase around the axis, which removes the odd permutations;
* the mean phase of the three, which a cyclic relabelling moves by exactly a third of a turn, is
  kept within a third of a turn and stretched to a full one. It is periodic there, because the
  energy is.

The density on this domain is 3! times that of the labelled molecule; the factor does not depend on
temperature and cancels from every difference of free energies and every weight.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from systems.charts.geometry import wrap
from systems.charts.zmatrix import ZMatrix, neighbours

TURN = 2 * torch.pi


@dataclass(frozen=True)
class LeafGroup:
    """Rows of a Z-matrix that place three equivalent leaves; the first carries the rotation."""

    rows: tuple[int, int, int]


def find_leaf_groups(
    zmatrix: ZMatrix, bonds: Sequence[tuple[int, int]], elements: Sequence[str]
) -> tuple[LeafGroup, ...]:
    """Find the groups of three equal leaves whose rotation is a coordinate of the Z-matrix.

    A group that the frame itself takes part in (methane, the middle carbon of ethane) has no
    rotation of its own there and is left as it is labelled.

    Args:
        zmatrix: Placement rows.
        bonds: Pairs of bonded atoms.
        elements: Chemical symbol of each atom.

    Returns:
        The groups in the order of their first rows.
    """
    graph = neighbours(zmatrix.n_atoms, bonds)
    row_of = {row[0]: index for index, row in enumerate(zmatrix.rows)}
    groups = []
    for parent, members in enumerate(graph):
        leaves = [atom for atom in members if len(graph[atom]) == 1]
        if len(members) != 4 or len(leaves) != 3 or len({elements[a] for a in leaves}) != 1:
            continue
        rows = sorted(row_of[atom] for atom in leaves)
        first = zmatrix.rows[rows[0]]
        hangs_together = rows[0] >= 3 and all(
            zmatrix.rows[row][1:] == (parent, first[2], first[0]) for row in rows[1:]
        )
        if hangs_together:
            groups.append(LeafGroup((rows[0], rows[1], rows[2])))
    return tuple(sorted(groups, key=lambda group: group.rows))


def canonical_leaves(leaves: Tensor, window: Tensor) -> Tensor:
    """Relabel leaves so that they increase in phase and their mean phase lies in the window.

    Args:
        leaves: Bond, angle and torsion of each leaf, shape (B, M, 3 leaves, 3); the torsions of
            the second and third leaf are measured from the first.
        window: Centre of the third of a turn that is kept, shape (M,).

    Returns:
        The same shape; the first torsion is now the mean phase less the window's centre, in
        [-pi/3, pi/3); the others are differences with 0 < second < third < 2 pi.
    """
    gap = torch.remainder(leaves[..., 1:, 2], TURN)
    order = torch.cat([torch.zeros_like(gap[..., :1]), gap], -1).argsort(-1)
    gap = gap.sort(-1).values
    mean = leaves[..., 0, 2] + (gap.sum(-1) - TURN) / 3
    offset = torch.remainder(mean - window + TURN / 6, TURN)
    thirds = (offset / (TURN / 3)).floor().clamp(0, 2)
    start = torch.remainder(-thirds, 3).long()
    cyclic = torch.remainder(start[..., None] + torch.arange(3, device=leaves.device), 3)
    pick = order.gather(-1, cyclic)
    chosen = leaves[..., :2].gather(-2, pick[..., None].expand(*pick.shape, 2))
    phases = torch.cat([torch.zeros_like(gap[..., :1]), gap], -1).gather(-1, cyclic)
    later = torch.remainder(phases[..., 1:] - phases[..., :1], TURN)
    folded = offset - thirds * (TURN / 3) - TURN / 6
    torsions = torch.cat([folded[..., None], later], -1)
    return torch.cat([chosen, torsions[..., None]], -1)


def first_phase(mean: Tensor, gaps: Tensor) -> Tensor:
    """Torsion of the first leaf from the mean phase (..., ) and the two differences (..., 2)."""
    return wrap(mean - (torch.remainder(gaps, TURN).sum(-1) - TURN) / 3)
