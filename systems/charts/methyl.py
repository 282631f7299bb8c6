"""Equivalent hydrogens of methyl-like groups: one canonical labelling out of six.

Three equal leaves on one atom (CH3, NH3+, CF3) can be relabelled in 3! ways at no cost in energy.
A flow that had to learn all six copies would waste its capacity, so the chart keeps one:

* the leaves are numbered by increasing phase around the axis, which removes the odd permutations;
* the mean phase of the three, which a cyclic relabelling moves by exactly a third of a turn, is
  kept within a third of a turn and stretched to a full one.

Across the ends of that third the labels change cyclically: the density at one end equals the
density at the other with the bonds, angles and gaps of the three leaves permuted. It is therefore
periodic as far as the three leaves are alike, and a flow that is exactly periodic there leaves a
small mismatch to the weights. The ends are put where the data are thinnest, on the rotation
barrier, which makes it smaller still.

The density on this domain is 3! times that of the labelled molecule; the factor does not depend on
temperature and cancels from every difference of free energies and every weight. All of this rests
on an energy that treats the three alike, as every force field with one atom type for them does.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from systems.charts.geometry import TURN, wrap
from systems.charts.zmatrix import ZMatrix, neighbours


@dataclass(frozen=True)
class LeafGroup:
    """Rows of a Z-matrix that place three equivalent leaves; the first carries the rotation."""

    rows: tuple[int, int, int]


def find_leaf_groups(
    zmatrix: ZMatrix, bonds: Sequence[tuple[int, int]], elements: Sequence[str]
) -> tuple[LeafGroup, ...]:
    """Find the groups of three equal leaves whose rotation is a coordinate of the Z-matrix.

    A group that the frame itself takes part in (methane, one carbon of ethane) has no rotation of
    its own there, and one whose leaves other atoms are measured against cannot be relabelled
    without moving those; both are left as they are labelled.

    Args:
        zmatrix: Placement rows.
        bonds: Pairs of bonded atoms.
        elements: Chemical symbol of each atom.

    Returns:
        The groups in the order of their first rows.

    Raises:
        ValueError: A bond or the number of elements does not fit the atoms of the Z-matrix.
    """
    if len(elements) != zmatrix.n_atoms:
        raise ValueError(f"elements: expected {zmatrix.n_atoms}, got {len(elements)}")
    graph = neighbours(zmatrix.n_atoms, bonds)
    groups = []
    for parent, members in enumerate(graph):
        leaves = [atom for atom in members if len(graph[atom]) == 1]
        equal = len({elements[atom] for atom in leaves}) == 1
        if len(members) == 4 and len(leaves) == 3 and equal:
            rows = _rotating_rows(zmatrix, parent, set(leaves))
            groups += [LeafGroup(rows)] if rows else []
    return tuple(sorted(groups, key=lambda group: group.rows))


def _rotating_rows(zmatrix: ZMatrix, parent: int, leaves: set[int]) -> tuple[int, int, int] | None:
    """Rows of the leaves if the first carries their rotation and nothing else refers to them."""
    a, b, c = (index for index, row in enumerate(zmatrix.rows) if row[0] in leaves)
    head, _, angle, torsion = zmatrix.rows[a]
    expected = [(parent, angle, torsion), (parent, angle, head), (parent, angle, head)]
    hang_together = a >= 3 and [zmatrix.rows[row][1:] for row in (a, b, c)] == expected
    referred = any(
        leaves & set(row[1:]) for index, row in enumerate(zmatrix.rows) if index not in (b, c)
    )
    return (a, b, c) if hang_together and not referred else None


def canonical_leaves(leaves: Tensor, window: Tensor) -> Tensor:
    """Relabel leaves so that they increase in phase and their mean phase lies in the window.

    Args:
        leaves: Bond, angle and torsion of each leaf, shape (M, 3 leaves, 3, B); the torsions of
            the second and third leaf are measured from the first.
        window: Centre of the third of a turn that is kept, shape (M,).

    Returns:
        The same shape; the first torsion is now the mean phase less the window's centre, in
        [-pi/3, pi/3); the others are differences with 0 < second < third < 2 pi.
    """
    gaps = torch.remainder(leaves[:, 1:, 2], TURN)
    swapped = gaps[:, 0] > gaps[:, 1]
    mean = leaves[:, 0, 2] + (gaps.sum(1) - TURN) / 3
    offset = torch.remainder(mean - window[:, None] + TURN / 6, TURN)
    thirds = (offset / (TURN / 3)).floor().clamp(0, 2)
    start = (3 - thirds).long()
    places = torch.remainder(start[:, None] + torch.arange(3, device=leaves.device)[:, None], 3)
    pick = torch.where(swapped[:, None], torch.remainder(-places, 3), places)
    chosen = leaves[:, :, :2].gather(1, pick[:, :, None].expand(-1, -1, 2, -1))
    phases = torch.cat([torch.zeros_like(gaps[:, :1]), gaps], 1).gather(1, pick)
    later = torch.remainder(phases[:, 1:] - phases[:, :1], TURN)
    folded = offset - thirds * (TURN / 3) - TURN / 6
    torsions = torch.cat([folded[:, None], later], 1)
    return torch.cat([chosen, torsions[:, :, None]], 2)


def first_phase(mean: Tensor, gaps: Tensor) -> Tensor:
    """Torsion of the first leaf from the mean phase (M, B) and the differences (M, 2, B)."""
    return wrap(mean - (torch.remainder(gaps, TURN).sum(1) - TURN) / 3)
