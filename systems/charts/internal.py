"""Bonds, angles and torsions of a molecule as one vector, both directions, with the Jacobian."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from systems.charts import geometry
from systems.charts.methyl import LeafGroup, canonical_leaves, first_phase
from systems.charts.zmatrix import ZMatrix


class InternalCoordinates(nn.Module):
    """Cartesian positions <-> (bonds, angles, torsions) along a Z-matrix.

    The volume element is dx = 8 pi^2 dV prod_i r_i^2 dr_i prod_j sin(theta_j) dtheta_j
    prod_k dphi_k; the overall position and orientation are left out with their constant.

    Atoms of one tree level are placed together, so the cost is one small batched step a level.

    Args:
        zmatrix: Placement rows for n atoms.
        groups: Groups of equivalent leaves to bring to their canonical labels.
    """

    rows: Tensor
    leaves: Tensor
    atom_order: Tensor

    def __init__(self, zmatrix: ZMatrix, groups: Sequence[LeafGroup] = ()) -> None:
        super().__init__()
        self.zmatrix = zmatrix
        self.n_atoms = zmatrix.n_atoms
        self.n_bonds, self.n_angles = self.n_atoms - 1, self.n_atoms - 2
        self.n_torsions = self.n_atoms - 3
        self.levels = zmatrix.levels()
        rows = torch.tensor(zmatrix.rows)
        self.register_buffer("rows", rows, persistent=False)
        leaves = torch.tensor([group.rows for group in groups], dtype=torch.long).reshape(-1, 3)
        self.register_buffer("leaves", leaves, persistent=False)
        order = torch.tensor([*rows[:3, 0].tolist(), *self._placed()]).argsort()
        self.register_buffer("atom_order", order, persistent=False)

    def _placed(self) -> list[int]:
        return [self.zmatrix.rows[row][0] for level in self.levels for row in level]

    @property
    def n_coordinates(self) -> int:
        """Number of internal coordinates, 3 n - 6."""
        return self.n_bonds + self.n_angles + self.n_torsions

    def measure(self, x: Tensor) -> Tensor:
        """Measure positions as they are labelled.

        Args:
            x: Positions, shape (B, n, 3), nm.

        Returns:
            Shape (B, 3 n - 6): bonds (nm), then angles, then torsions (rad), in the row order.
        """
        atoms = x.transpose(0, 1)
        i, j, k, m = self.rows.unbind(1)
        bonds = geometry.distance(atoms[i[1:]], atoms[j[1:]])
        angles = geometry.angle(atoms[i[2:]], atoms[j[2:]], atoms[k[2:]])
        torsions = geometry.torsion(atoms[i[3:]], atoms[j[3:]], atoms[k[3:]], atoms[m[3:]])
        return torch.cat([bonds, angles, torsions]).transpose(0, 1)

    def canonical(self, q: Tensor, window: Tensor) -> Tensor:
        """Relabel equivalent leaves: (B, 3 n - 6) -> (B, 3 n - 6); see `methyl`.

        The torsion of a group's first leaf becomes the folded mean phase about `window` (M,).
        """
        if len(self.leaves) == 0:
            return q
        columns = self._leaf_columns()
        q = q.clone()
        q[:, columns] = canonical_leaves(q[:, columns], window.to(q.dtype))
        return q

    def labelled(self, q: Tensor, window: Tensor) -> Tensor:
        """Undo the folding of `canonical`: the mean phase becomes the first leaf's torsion."""
        if len(self.leaves) == 0:
            return q
        columns = self._leaf_columns()[..., 2]
        leaf = q[:, columns]
        first = first_phase(leaf[..., 0] + window.to(q.dtype), leaf[..., 1:])
        q = q.clone()
        q[:, columns[:, 0]] = first
        return q

    def _leaf_columns(self) -> Tensor:
        """Columns of bond, angle and torsion of each leaf, shape (M, 3, 3)."""
        bond = self.leaves - 1
        angle = self.n_bonds + self.leaves - 2
        torsion = self.n_bonds + self.n_angles + self.leaves - 3
        return torch.stack([bond, angle, torsion], -1)

    def leaves_ordered(self, q: Tensor) -> Tensor:
        """Whether each row keeps the canonical order of its leaves, (B, 3 n - 6) -> bool (B,)."""
        if len(self.leaves) == 0:
            return torch.ones_like(q[:, 0], dtype=torch.bool)
        gaps = q[:, self._leaf_columns()[:, 1:, 2]]
        second, third = torch.remainder(gaps, 2 * torch.pi).unbind(-1)
        return (second < third).all(-1)

    def log_volume(self, q: Tensor) -> Tensor:
        """Log-density of the volume element, sum 2 log r + sum log sin(theta), shape (B,)."""
        bonds, angles, _ = self.split(q)
        return 2 * bonds.abs().log().sum(1) + angles.sin().abs().log().sum(1)

    def split(self, q: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Split (B, 3 n - 6) into bonds, angles and torsions."""
        bonds, angles, torsions = q.split([self.n_bonds, self.n_angles, self.n_torsions], dim=1)
        return bonds, angles, torsions

    def place(self, q: Tensor) -> Tensor:
        """Build positions from labelled internal coordinates.

        Args:
            q: Shape (B, 3 n - 6).

        Returns:
            Positions, shape (B, n, 3): the second row's atom at the origin, the first on the x
            axis, the third in the xy plane.
        """
        bonds, angles, torsions = (part.transpose(0, 1) for part in self.split(q))
        zero = torch.zeros_like(bonds[0])
        first = torch.stack([bonds[0], zero, zero], -1)
        middle = torch.zeros_like(first)
        third = torch.stack([bonds[1] * angles[0].cos(), bonds[1] * angles[0].sin(), zero], -1)
        atoms = torch.stack([first, middle, third])
        position = {row[0]: index for index, row in enumerate(self.zmatrix.rows[:3])}
        for level in self.levels:
            rows = [self.zmatrix.rows[row] for row in level]
            picks = [[position[row[slot]] for row in rows] for slot in (1, 2, 3)]
            references = (atoms[picks[0]], atoms[picks[1]], atoms[picks[2]])
            number = torch.tensor(level, device=q.device)
            internal = (bonds[number - 1], angles[number - 2], torsions[number - 3])
            position |= {row[0]: len(atoms) + index for index, row in enumerate(rows)}
            atoms = torch.cat([atoms, geometry.place(references, internal)])
        return atoms.index_select(0, self.atom_order).transpose(0, 1)
