"""Fit a chart to configurations: find the roles of the coordinates, refuse what has no density."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from systems.charts.chart import InternalChart
from systems.charts.geometry import wrap
from systems.charts.internal import InternalCoordinates
from systems.charts.layout import fit_layout, fold_window, sibling_rows
from systems.charts.methyl import LeafGroup, find_leaf_groups
from systems.charts.zmatrix import ZMatrix, build_zmatrix
from systems.checks import check_event

_STRAIGHT = 0.05
"""An angle this near to 0 or pi, in rad, counts as straight."""
_RIGID = 1e-5
"""A coordinate whose standard deviation, in nm or rad, is below this counts as rigid."""
_SLACK = 1e-3
"""How far, in nm, a bond declared rigid may be from its length in the data."""
_DEPENDENT = 1e-7
"""Smallest eigenvalue of the correlation matrix of coordinates that count as independent."""
_TURNED = 1e-3
"""Largest share of configurations whose methyl-like groups are turned inside out."""
_CHUNK = 4096
"""Configurations measured at once: few enough for the cache."""


def fit_chart(
    x: Tensor,
    *,
    bonds: Sequence[tuple[int, int]],
    elements: Sequence[str],
    constraints: Sequence[tuple[int, int, float]] = (),
    zmatrix: ZMatrix | None = None,
) -> InternalChart:
    """Fit a chart to configurations of a molecule.

    Args:
        x: Configurations, shape (N, n, 3), nm; N of at least 10 times the number of coordinates.
        bonds: Pairs of bonded atoms.
        elements: Chemical symbols, length n.
        constraints: Rigid bonds (i, j, length in nm) to freeze.
        zmatrix: Placement rows; built from the bonds if not given.

    Returns:
        The chart, in float64.

    Raises:
        ValueError: Too few configurations or values that are not finite; a constraint that is not
            a bond of the Z-matrix or that the data do not keep; a straight angle; coordinates
            that do not vary in the data, or not independently, though they are not constrained;
            methyl-like groups turned inside out in more than one configuration of a thousand.
    """
    check_event("x", x, (len(elements), 3))
    zmatrix = zmatrix or build_zmatrix(len(elements), bonds)
    lengths = _rigid_lengths(zmatrix, constraints)
    groups = _alike(find_leaf_groups(zmatrix, bonds, elements), lengths)
    coordinates = InternalCoordinates(zmatrix, groups)
    parts = _checked(x, coordinates).split(_CHUNK)
    q = torch.cat([coordinates.measure(part.double()) for part in parts], 1)
    _check_angles(q, coordinates)
    canonical, window, folded = _folded(q, coordinates)
    frozen = np.array(sorted(lengths), dtype=np.int64)
    canonical[frozen] = _rigid_rows(canonical[frozen], zmatrix, lengths)
    layout = fit_layout(
        canonical.T.numpy(), n_atoms=zmatrix.n_atoms, folded=folded,
        siblings=sibling_rows(zmatrix, bonds), frozen=frozen,
    )  # fmt: skip
    centre = torch.from_numpy(layout.centre)
    bond, angle, torsion = coordinates.split(canonical - centre[:, None])
    narrow = torch.cat([bond, angle, wrap(torsion)])[layout.narrow]
    return InternalChart(
        coordinates, layout, window=window, mean=narrow.mean(1) + centre[layout.narrow],
        whiten=_whitening(narrow, [_describe(zmatrix, column) for column in layout.narrow]),
    )  # fmt: skip


def _describe(zmatrix: ZMatrix, column: int) -> str:
    """Name the coordinate of a column, such as "angle 3-1-0"."""
    n_bonds, n_angles = zmatrix.n_atoms - 1, zmatrix.n_atoms - 2
    if column < n_bonds:
        kind, n_named, row = "bond", 2, column + 1
    elif column < n_bonds + n_angles:
        kind, n_named, row = "angle", 3, column - n_bonds + 2
    else:
        kind, n_named, row = "torsion", 4, column - n_bonds - n_angles + 3
    return f"{kind} {'-'.join(map(str, zmatrix.rows[row][:n_named]))}"


def _checked(x: Tensor, coordinates: InternalCoordinates) -> Tensor:
    """Require enough finite configurations; return them detached, on the CPU."""
    n_least = 10 * coordinates.n_coordinates
    if len(x) < n_least:
        raise ValueError(
            f"x: expected at least {n_least} configurations for "
            f"{coordinates.n_coordinates} coordinates, got {len(x)}"
        )
    n_bad = int((~x.isfinite().flatten(1).all(1)).sum())
    if n_bad:
        raise ValueError(f"x: expected finite positions, got {n_bad} configurations with others")
    return x.detach().cpu()


def _check_angles(q: Tensor, coordinates: InternalCoordinates) -> None:
    """Require that no angle is straight: there the torsions that refer to it have no meaning."""
    _, angles, _ = coordinates.split(q)
    margin = torch.minimum(angles, torch.pi - angles).amin(1)
    column = int(margin.argmin())
    if margin[column] < _STRAIGHT:
        name = _describe(coordinates.zmatrix, coordinates.n_bonds + column)
        raise ValueError(
            f"x: {name} comes within {np.degrees(margin[column].item()):.1f} degrees of 0 or 180, "
            "where torsions about it have no meaning; give a zmatrix that places the atoms beyond "
            "it by other references"
        )


def _folded(
    q: Tensor, coordinates: InternalCoordinates
) -> tuple[Tensor, Tensor, NDArray[np.int64]]:
    """Canonical coordinates, centres of the folded phases, and the columns of these.

    Configurations with a methyl-like group turned inside out, as hot dynamics have now and then,
    lie outside the chart and are left out.
    """
    heads = coordinates.leaf_columns[:, 0, 2]
    phases = coordinates.canonical(q, torch.zeros(len(heads), dtype=q.dtype))[heads]
    centres = [fold_window(phase) for phase in phases.numpy()]
    window = torch.tensor(centres, dtype=q.dtype)
    canonical = coordinates.canonical(q, window)
    ordered = coordinates.leaves_ordered(canonical)
    n_bad = int((~ordered).sum())
    if n_bad > _TURNED * len(ordered):
        raise ValueError(
            f"x: {n_bad} configuration(s) of {len(ordered)} have a methyl-like group with two "
            "atoms more than half a turn apart; the data are broken"
        )
    return canonical[:, ordered].clone(), window, heads.numpy()


def _rigid_lengths(
    zmatrix: ZMatrix, constraints: Sequence[tuple[int, int, float]]
) -> dict[int, float]:
    """Length of each constrained bond by its column."""
    column = {frozenset(row[:2]): index - 1 for index, row in enumerate(zmatrix.rows) if index}
    lengths: dict[int, float] = {}
    for i, j, length in constraints:
        key = column.get(frozenset((i, j)))
        if key is None:
            raise ValueError(
                f"constraints: atoms {i} and {j} are held {length} nm apart, but that distance is "
                "not a bond of the Z-matrix, so no chart can freeze it; rebuild the system with "
                "constraints=None, or with HBonds at most"
            )
        if lengths.setdefault(key, length) != length:
            raise ValueError(f"constraints: atoms {i} and {j} have two lengths")
    return lengths


def _rigid_rows(rows: Tensor, zmatrix: ZMatrix, lengths: dict[int, float]) -> Tensor:
    """Rows of the frozen bonds at their exact lengths, which the data must keep."""
    exact = torch.tensor([lengths[column] for column in sorted(lengths)], dtype=rows.dtype)
    spread = (rows - exact[:, None]).abs().amax(1)
    for column, length, error in zip(sorted(lengths), exact, spread, strict=True):
        if error > _SLACK:
            raise ValueError(
                f"constraints: {_describe(zmatrix, column)} is declared rigid at {length:.4f} nm "
                f"but is {error:.4f} nm off in the data"
            )
    return exact[:, None].expand_as(rows)


def _alike(groups: Sequence[LeafGroup], lengths: dict[int, float]) -> list[LeafGroup]:
    """Keep the groups whose three bonds are all free or all rigid at one length."""
    return [g for g in groups if len({lengths.get(row - 1) for row in g.rows}) == 1]


def _whitening(narrow: Tensor, names: Sequence[str]) -> Tensor:
    """Inverse symmetric square root of the covariance, which keeps each coordinate's identity.

    Args:
        narrow: Narrow coordinates, shape (n_narrow, N).
        names: What to call them in messages.

    Returns:
        W of shape (n_narrow, n_narrow), such that W (narrow - mean) has unit covariance.
    """
    covariance = torch.cov(narrow).reshape(len(narrow), len(narrow))
    deviation = covariance.diagonal().sqrt()
    rigid = [name for name, width in zip(names, deviation, strict=True) if width < _RIGID]
    if rigid:
        raise ValueError(
            f"x: {len(rigid)} coordinate(s) do not vary in the data ({', '.join(rigid[:8])}); a "
            "density needs them free: declare rigid bonds in constraints, or rebuild the system "
            "with constraints=None"
        )
    values, vectors = torch.linalg.eigh(covariance / deviation / deviation[:, None])
    if values[0] < _DEPENDENT:
        names = [names[int(index)] for index in vectors[:, 0].abs().argsort(descending=True)]
        raise ValueError(
            "x: coordinates do not vary independently in the data (foremost "
            f"{', '.join(names[:4])}): a constraint between them is not declared, or too few "
            "configurations differ"
        )
    return vectors @ torch.diag(values.rsqrt()) @ vectors.T / deviation
