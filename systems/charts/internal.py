"""Bonds, angles and torsions of a molecule as one vector, both directions, with the Jacobian."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from systems.charts import geometry
from systems.charts.geometry import TURN
from systems.charts.methyl import LeafGroup, canonical_leaves, first_phase
from systems.charts.zmatrix import ZMatrix


class InternalCoordinates(nn.Module):
    """Cartesian positions <-> (bonds, angles, torsions) along a Z-matrix.

    The volume element is dx = 8 pi^2 dV prod_i r_i^2 dr_i prod_j sin(theta_j) dtheta_j
    prod_k dphi_k; the overall position and orientation are left out with their constant.

    Coordinates are tensors (3 n - 6, B), batch innermost: bonds (nm) in the order of the rows,
    then angles, then torsions (rad). Atoms of one tree level are placed together, so the cost is
    one small batched step a level, and every index is a constant made here.

    Args:
        zmatrix: Placement rows for n atoms.
        groups: Groups of equivalent leaves to bring to their canonical labels.
    """

    leaves: Tensor
    leaf_columns: Tensor
    rows: Tensor
    picks: Tensor
    placing_order: Tensor
    atom_order: Tensor

    def __init__(self, zmatrix: ZMatrix, groups: Sequence[LeafGroup] = ()) -> None:
        super().__init__()
        self.zmatrix = zmatrix
        self.n_atoms = zmatrix.n_atoms
        self.n_bonds, self.n_angles = self.n_atoms - 1, self.n_atoms - 2
        self.n_torsions = self.n_atoms - 3
        self.levels = zmatrix.levels()
        leaves = torch.tensor([group.rows for group in groups], dtype=torch.long).reshape(-1, 3)
        placed = [*range(3), *(row for level in self.levels for row in level)]
        atoms = [zmatrix.rows[row][0] for row in placed]
        constants = {
            "leaves": leaves, "leaf_columns": self._columns(leaves),
            "rows": torch.tensor(zmatrix.rows).T.contiguous(),
            "picks": torch.tensor(self._picks(atoms), dtype=torch.long),
            "placing_order": torch.tensor(placed[3:], dtype=torch.long) - 3,
            "atom_order": torch.tensor(atoms).argsort(),
        }  # fmt: skip
        for name, value in constants.items():
            self.register_buffer(name, value, persistent=False)

    def _columns(self, leaves: Tensor) -> Tensor:
        """Bond, angle and torsion of each leaf in the vector of coordinates, (M, 3 leaves, 3)."""
        starts = (-1, self.n_bonds - 2, self.n_bonds + self.n_angles - 3)
        return torch.stack([leaves + start for start in starts], -1)

    def _picks(self, atoms: Sequence[int]) -> list[int]:
        """References of each level, all first, all second, all third, in order of placement."""
        position = {atom: index for index, atom in enumerate(atoms)}
        return [
            position[self.zmatrix.rows[row][slot]]
            for level in self.levels
            for slot in (1, 2, 3)
            for row in level
        ]

    @property
    def n_coordinates(self) -> int:
        """Number of internal coordinates, 3 n - 6."""
        return self.n_bonds + self.n_angles + self.n_torsions

    def measure(self, x: Tensor) -> Tensor:
        """Measure positions as they are labelled.

        Args:
            x: Positions, shape (B, n, 3), nm.

        Returns:
            Shape (3 n - 6, B).
        """
        atoms = x.permute(1, 2, 0).contiguous()
        i, j, k, m = self.rows.unbind(0)
        middle = atoms.index_select(0, j[1:])
        outer = atoms.index_select(0, k[2:])
        bond = atoms.index_select(0, i[1:]) - middle
        axis = outer - middle[1:]
        tail = atoms.index_select(0, m[3:]) - outer[1:]
        bonds = geometry.length(bond)
        angles = geometry.angle(bond[1:], axis)
        return torch.cat([bonds, angles, geometry.torsion(bond[2:], axis[1:], tail)])

    def canonical(self, q: Tensor, window: Tensor) -> Tensor:
        """Relabel equivalent leaves: (3 n - 6, B) -> (3 n - 6, B); see `methyl`.

        The torsion of a group's first leaf becomes the mean phase, folded about `window` (M,).
        """
        if len(self.leaves) == 0:
            return q
        columns = self.leaf_columns.flatten()
        leaves = q.index_select(0, columns).unflatten(0, self.leaf_columns.shape)
        leaves = canonical_leaves(leaves, window.to(q.dtype))
        return q.index_copy(0, columns, leaves.flatten(0, 2))

    def labelled(self, q: Tensor, window: Tensor) -> Tensor:
        """Undo the folding of `canonical`: the mean phase becomes the first leaf's torsion."""
        if len(self.leaves) == 0:
            return q
        mean, *gaps = (q.index_select(0, leaf) for leaf in self.leaf_columns[..., 2].T)
        first = first_phase(mean + window.to(q.dtype)[:, None], torch.stack(gaps, 1))
        return q.index_copy(0, self.leaf_columns[:, 0, 2], first)

    def leaves_ordered(self, q: Tensor) -> Tensor:
        """Whether leaves follow each other by less than half a turn, (3 n - 6, B) -> bool (B,)."""
        if len(self.leaves) == 0:
            return torch.ones_like(q[0], dtype=torch.bool)
        _, *gaps = (q.index_select(0, leaf) for leaf in self.leaf_columns[..., 2].T)
        second, third = (torch.remainder(gap, TURN) for gap in gaps)
        steps = torch.stack([second, third - second, TURN - third])
        return ((steps > 0) & (steps < torch.pi)).flatten(0, 1).all(0)

    def log_volume(self, q: Tensor) -> Tensor:
        """Log-density of the volume element, sum 2 log r + sum log sin(theta), shape (B,)."""
        bonds, angles, _ = self.split(q)
        return 2 * bonds.abs().log().sum(0) + angles.sin().abs().log().sum(0)

    def split(self, q: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Split (3 n - 6, B) into bonds, angles and torsions."""
        bonds, angles, torsions = q.split([self.n_bonds, self.n_angles, self.n_torsions])
        return bonds, angles, torsions

    def place(self, q: Tensor) -> Tensor:
        """Build positions from labelled internal coordinates.

        Args:
            q: Shape (3 n - 6, B).

        Returns:
            Positions, shape (B, n, 3): the second row's atom at the origin, the first on the x
            axis, the third in the xy plane.
        """
        bonds, angles, torsions = self.split(q)
        cosine, sine = bonds[1:] * angles.cos(), bonds[1:] * angles.sin()
        zero = torch.zeros_like(bonds[0])
        frame = [bonds[0], zero, zero, zero, zero, zero, cosine[0], sine[0], zero]
        atoms = torch.stack(frame).unflatten(0, (3, 3))
        local = torch.stack([cosine[1:], sine[1:] * torsions.cos(), sine[1:] * torsions.sin()], 1)
        sizes = [len(level) for level in self.levels]
        steps = local.index_select(0, self.placing_order).split(sizes)
        picks = self.picks.split([3 * size for size in sizes])
        for pick, step in zip(picks, steps, strict=True):
            a, b, c = atoms.index_select(0, pick).chunk(3)
            atoms = torch.cat([atoms, geometry.place((a, b, c), step)])
        return atoms.index_select(0, self.atom_order).permute(2, 0, 1).contiguous()
