"""Z-matrices: which bond, angle and torsion place each atom, built from a molecule's bonds."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

ROOT = -1
"""Marks a missing reference in the rows of the first three atoms."""


@dataclass(frozen=True)
class ZMatrix:
    """Placement rows of a molecule.

    Row (i, j, k, l) places atom i by the bond i-j, the angle i-j-k and the torsion i-j-k-l.
    The first row is (i, -1, -1, -1), the second (i, j, -1, -1), the third (i, j, k, -1): they fix
    the frame, so that n atoms have n - 1 bonds, n - 2 angles and n - 3 torsions.

    Args:
        rows: The n rows in an order in which every reference is placed before it is used.

    Raises:
        ValueError: Fewer than three atoms, an atom placed twice or never, a reference used before
            it is placed or twice in one row.
    """

    rows: tuple[tuple[int, int, int, int], ...]

    def __post_init__(self) -> None:
        n_atoms = len(self.rows)
        if n_atoms < 3:
            raise ValueError(f"rows: expected at least 3 atoms, got {n_atoms}")
        wrong = next((row for row in self.rows if len(row) != 4), None)
        if wrong is not None:
            raise ValueError(f"rows: expected 4 atoms a row, got {wrong}")
        if sorted(row[0] for row in self.rows) != list(range(n_atoms)):
            raise ValueError(f"rows: expected each atom 0 to {n_atoms - 1} to be placed once")
        placed: set[int] = set()
        for index, row in enumerate(self.rows):
            references = row[1 : 1 + min(index, 3)]
            if len(set(references)) != len(references) or not set(references) <= placed:
                raise ValueError(
                    f"rows: row {index} {row} needs {len(references)} distinct references among "
                    f"the atoms placed before it, {sorted(placed)}"
                )
            if any(reference != ROOT for reference in row[1 + len(references) :]):
                raise ValueError(f"rows: row {index} {row} must end in {ROOT}s")
            placed.add(row[0])

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return len(self.rows)

    def levels(self) -> list[list[int]]:
        """Group the rows from the fourth on so that each group needs only earlier groups.

        Returns:
            Lists of row indices; the atoms of one list can be placed together.
        """
        level = {row[0]: 0 for row in self.rows[:3]}
        groups: dict[int, list[int]] = {}
        for index, row in enumerate(self.rows[3:], start=3):
            level[row[0]] = 1 + max(level[reference] for reference in row[1:])
            groups.setdefault(level[row[0]], []).append(index)
        return [groups[key] for key in sorted(groups)]


def neighbours(n_atoms: int, bonds: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Adjacency lists, sorted.

    Raises:
        ValueError: A bond names an atom that does not exist.
    """
    found: list[set[int]] = [set() for _ in range(n_atoms)]
    for i, j in bonds:
        if not (0 <= i < n_atoms and 0 <= j < n_atoms and i != j):
            raise ValueError(f"bonds: expected two of the atoms 0 to {n_atoms - 1}, got {(i, j)}")
        found[i].add(j)
        found[j].add(i)
    return [sorted(members) for members in found]


def build_zmatrix(n_atoms: int, bonds: Iterable[tuple[int, int]]) -> ZMatrix:
    """Build a Z-matrix along a spanning tree from the middle of the molecule.

    The frame is a bonded chain around the atom from which the others are fewest bonds away. Every
    other atom hangs on its parent in the tree. The first child of a rotatable bond gets the proper
    torsion of that bond; its siblings are measured against that child, so their torsions are
    nearly rigid (about 120 or 180 degrees) and carry the handedness of the parent. A ring loses
    one bond to the tree: it is closed by its energy alone.

    A chain of bonds that is straight (a nitrile, an alkyne) has no torsion about it, and no tree
    of bonds avoids it: `fit_chart` refuses such data. Give rows that place the end of the chain
    by other references, for instance the N of CH3CN by its distance to the methyl carbon and
    an angle and a torsion to two hydrogens.

    Args:
        n_atoms: Number of atoms, at least 3.
        bonds: Pairs of bonded atoms.

    Returns:
        The Z-matrix; the same for the same bonds, whatever their order.

    Raises:
        ValueError: Fewer than three atoms or a molecule in several pieces.
    """
    if n_atoms < 3:
        raise ValueError(f"n_atoms: expected at least 3, got {n_atoms}")
    graph = neighbours(n_atoms, bonds)
    middle = _middle(graph)
    arms = sorted(graph[middle], key=lambda atom: (-_branch_size(graph, atom, middle), atom))
    first, third = arms[0], arms[1]
    rows = [
        (first, ROOT, ROOT, ROOT),
        (middle, first, ROOT, ROOT),
        (third, middle, first, ROOT),
    ]
    anchors = {first: (middle, third), middle: (first, third), third: (middle, first)}
    rows += _grow(graph, anchors, middle)
    return ZMatrix(tuple(rows))


def _grow(
    graph: Sequence[Sequence[int]], anchors: dict[int, tuple[int, int]], middle: int
) -> list[tuple[int, int, int, int]]:
    """Place atoms breadth first; `anchors[j]` are the angle and torsion references of j's children.

    The torsion reference of j's children after the first is the first. The middle of the frame
    needs no such change: its torsion reference is a neighbour already.
    """
    rows = []
    placed = set(anchors)
    queue = deque(anchors)
    while queue:
        parent = queue.popleft()
        angle, reference = anchors[parent]
        children = [atom for atom in graph[parent] if atom not in placed]
        children.sort(key=lambda atom: (-_branch_size(graph, atom, parent), atom))
        for child in children:
            rows.append((child, parent, angle, reference))
            placed.add(child)
            anchors[child] = (parent, angle)
            queue.append(child)
            if child == children[0] and parent != middle:
                reference = child
    return rows


def _middle(graph: Sequence[Sequence[int]]) -> int:
    """Return the atom from which the others are fewest bonds away, with two or more neighbours.

    One with three leaves is chosen only if there is no other, so that the frame leaves the
    rotation of a methyl group alone where it can.
    """
    keys = []
    for atom, members in enumerate(graph):
        distance = _distances(graph, atom)
        if len(distance) < len(graph):
            missing = sorted(set(range(len(graph))) - set(distance))
            raise ValueError(
                f"bonds: expected one connected molecule; atoms {missing[:10]} are not bonded, "
                f"directly or through others, to atom {atom}"
            )
        n_leaves = sum(len(graph[other]) == 1 for other in members)
        keys.append((len(members) < 2, n_leaves > 2, sum(distance.values()), atom))
    return min(keys)[-1]


def _distances(graph: Sequence[Sequence[int]], start: int) -> dict[int, int]:
    distance = {start: 0}
    queue = deque([start])
    while queue:
        atom = queue.popleft()
        for other in graph[atom]:
            if other not in distance:
                distance[other] = distance[atom] + 1
                queue.append(other)
    return distance


def _branch_size(graph: Sequence[Sequence[int]], atom: int, parent: int) -> int:
    """Count the atoms reached from `atom` without passing `parent`."""
    seen = {atom, parent}
    queue = deque([atom])
    while queue:
        for other in graph[queue.popleft()]:
            if other not in seen:
                seen.add(other)
                queue.append(other)
    return len(seen) - 1
