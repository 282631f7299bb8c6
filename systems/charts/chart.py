"""The chart that flows see: whitened narrow coordinates and periodic torsions of a molecule."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from systems.charts.geometry import wrap
from systems.charts.internal import InternalCoordinates
from systems.charts.layout import Layout, fit_layout, fold_window, sibling_rows
from systems.charts.methyl import LeafGroup, find_leaf_groups
from systems.charts.zmatrix import ZMatrix, build_zmatrix
from systems.checks import check_event


class InternalChart(nn.Module):
    """Positions (B, n, 3) in nm <-> a vector z (B, D) for a flow.

    The vector holds first the narrow coordinates (bonds, angles, torsions that stay in one place),
    whitened: z = W (q - mean), of zero mean and unit covariance in the data; then the periodic
    torsions in [-pi, pi), shifted so that the cut lies where the data are thinnest.

    **Handedness.** A torsion measured against a sibling has opposite signs in the two hands of its
    centre. Where the data hold one sign, the domain of the chart is that sign: configurations of
    the other hand lie outside (`in_domain` is false, their energy is +inf and their weight 0).
    Where the data hold both, both are inside.

    **Equivalent hydrogens.** Each methyl-like group is brought to one of its six labellings (see
    `systems.charts.methyl`); `to_internal` is therefore many to one, and `to_cartesian` returns
    the canonical labels. `log_copies` is the constant log of the number of copies.

    **Rings** lose one bond each to the spanning tree. That bond is not a coordinate: the ring is
    closed by its energy alone, which makes such molecules harder to learn, not wrong.

    **Constrained bonds** are frozen at their lengths: they are not coordinates, and the density is
    that of U on the constrained surface in the measure of the free coordinates. (Rigid-bond
    dynamics samples this up to the mass-metric factor |Z|^1/2 of Fixman, which varies by parts in
    a thousand when only bonds to hydrogen are rigid.)

    Args:
        coordinates: The internal coordinates.
        layout: Roles of the coordinates.
        window: Centres of the folded phases, shape (M,), rad.
        mean: Mean of the narrow coordinates, shape (n_narrow,).
        whiten: W, shape (n_narrow, n_narrow), invertible.
    """

    def __init__(
        self,
        coordinates: InternalCoordinates,
        layout: Layout,
        *,
        window: Tensor,
        mean: Tensor,
        whiten: Tensor,
    ) -> None:
        super().__init__()
        self.coordinates = coordinates
        self.layout = layout
        self.n_narrow, self.n_periodic = len(layout.narrow), len(layout.periodic)
        self.event_shape = (self.n_narrow + self.n_periodic,)
        self.log_copies = len(coordinates.leaves) * float(np.log(6))
        fold = torch.from_numpy(layout.fold[layout.periodic])
        constants = {
            "window": window, "mean": mean, "whiten": whiten, "colour": torch.linalg.inv(whiten),
            "lower": torch.from_numpy(layout.lower), "upper": torch.from_numpy(layout.upper),
            "centre": torch.from_numpy(layout.centre), "fold": fold,
            "narrow_columns": torch.from_numpy(layout.narrow),
            "periodic_columns": torch.from_numpy(layout.periodic),
        }  # fmt: skip
        for name, value in constants.items():
            self.register_buffer(name, value, persistent=False)
        log_scale = torch.linalg.slogdet(whiten)[1] + fold.double().log().sum()
        self.register_buffer("log_scale", log_scale, persistent=False)

    window: Tensor
    mean: Tensor
    whiten: Tensor
    colour: Tensor
    lower: Tensor
    upper: Tensor
    centre: Tensor
    fold: Tensor
    narrow_columns: Tensor
    periodic_columns: Tensor
    log_scale: Tensor

    @property
    def periodic(self) -> Tensor:
        """Which components of z wrap around, bool, shape (D,)."""
        mask = torch.zeros(self.event_shape, dtype=torch.bool, device=self.mean.device)
        mask[self.n_narrow :] = True
        return mask

    def to_internal(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map positions to the chart.

        Args:
            x: Positions, shape (B, n, 3), nm.

        Returns:
            z of shape (B, D) and log|det dz/dx| of shape (B,), less the constant of the overall
            position and orientation.

        Raises:
            ValueError: x has the wrong shape or dtype.
        """
        check_event("x", x, (self.coordinates.n_atoms, 3))
        q = self.coordinates.canonical(self.coordinates.measure(x), self.window)
        log_volume = self.coordinates.log_volume(q)
        offset = q - self.centre.to(q.dtype)
        narrow = self._unwrapped(offset)[:, self.narrow_columns]
        shift = (self.centre[self.narrow_columns] - self.mean).to(q.dtype)
        white = (narrow + shift) @ self.whiten.to(q.dtype).T
        turns = wrap(offset[:, self.periodic_columns] * self.fold)
        return torch.cat([white, turns], 1), self.log_scale.to(q.dtype) - log_volume

    def _unwrapped(self, offset: Tensor) -> Tensor:
        """Offsets from the centre, those of torsions brought to [-pi, pi)."""
        n_linear = self.coordinates.n_bonds + self.coordinates.n_angles
        return torch.cat([offset[:, :n_linear], wrap(offset[:, n_linear:])], 1)

    def to_cartesian(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Map chart coordinates to positions.

        Args:
            z: Shape (B, D).

        Returns:
            Positions (B, n, 3) in nm, in the frame of the Z-matrix, and log|det dx/dz| (B,).

        Raises:
            ValueError: z has the wrong shape or dtype.
        """
        q = self._canonical_coordinates(z)
        log_volume = self.coordinates.log_volume(q)
        x = self.coordinates.place(self.coordinates.labelled(q, self.window))
        return x, log_volume - self.log_scale.to(q.dtype)

    def in_domain(self, z: Tensor) -> Tensor:
        """Whether each z lies where the chart is one to one, (B, D) -> bool (B,)."""
        q = self._canonical_coordinates(z)
        narrow = q[:, self.narrow_columns]
        inside = (narrow > self.lower.to(q.dtype)) & (narrow < self.upper.to(q.dtype))
        return inside.all(1) & self.coordinates.leaves_ordered(q)

    def _canonical_coordinates(self, z: Tensor) -> Tensor:
        check_event("z", z, self.event_shape)
        white, turns = z.split([self.n_narrow, self.n_periodic], 1)
        narrow = white @ self.colour.to(z.dtype).T + self.mean.to(z.dtype)
        centre = self.centre.to(z.dtype)
        angles = centre[self.periodic_columns] + wrap(turns) / self.fold
        q = centre.expand(len(z), -1).clone()
        q[:, self.narrow_columns] = narrow
        q[:, self.periodic_columns] = angles
        return q

    def state(self) -> dict[str, Tensor]:
        """All that defines the chart, as tensors for a checkpoint; `chart_from_state` inverts."""
        layout = self.layout
        return {
            "zmatrix": torch.tensor(self.coordinates.zmatrix.rows),
            "leaves": self.coordinates.leaves.clone(),
            "frozen": torch.from_numpy(layout.frozen.copy()),
            "centre": self.centre.clone(), "fold": torch.from_numpy(layout.fold.copy()),
            "narrow": self.narrow_columns.clone(), "periodic": self.periodic_columns.clone(),
            "lower": self.lower.clone(), "upper": self.upper.clone(),
            "window": self.window.clone(), "mean": self.mean.clone(),
            "whiten": self.whiten.clone(),
        }  # fmt: skip


def chart_from_state(state: dict[str, Tensor]) -> InternalChart:
    """Rebuild a chart from `InternalChart.state`.

    Raises:
        ValueError: An entry is missing.
    """
    missing = {"zmatrix", "leaves", "frozen", "centre", "fold", "narrow", "periodic", "lower",
               "upper", "window", "mean", "whiten"} - set(state)  # fmt: skip
    if missing:
        raise ValueError(f"state: expected the entries of a chart, missing {sorted(missing)}")
    rows = tuple((i, j, k, m) for i, j, k, m in state["zmatrix"].tolist())
    groups = [LeafGroup((a, b, c)) for a, b, c in state["leaves"].tolist()]
    arrays = {
        name: state[name].numpy()
        for name in ("centre", "fold", "periodic", "narrow", "frozen", "lower", "upper")
    }
    return InternalChart(
        InternalCoordinates(ZMatrix(rows), groups), Layout(**arrays),
        window=state["window"], mean=state["mean"], whiten=state["whiten"],
    )  # fmt: skip


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
        ValueError: Too few configurations, a constraint that is not a bond of the Z-matrix, a
            coordinate that does not vary in the data though it is not constrained.
    """
    check_event("x", x, (len(elements), 3))
    zmatrix = zmatrix or build_zmatrix(len(elements), bonds)
    groups = find_leaf_groups(zmatrix, bonds, elements)
    plain = InternalCoordinates(zmatrix, groups)
    if len(x) < 10 * plain.n_coordinates:
        raise ValueError(
            f"x: expected at least {10 * plain.n_coordinates} configurations for "
            f"{plain.n_coordinates} coordinates, got {len(x)}"
        )
    q = plain.measure(x.double())
    n_linear = plain.n_bonds + plain.n_angles
    whole = torch.zeros(len(groups), dtype=torch.float64)
    heads = np.array([n_linear + group.rows[0] - 3 for group in groups], dtype=np.int64)
    phases = plain.canonical(q, whole)[:, heads].numpy()
    window = torch.tensor([fold_window(column) for column in phases.T], dtype=torch.float64)
    canonical = plain.canonical(q, window)
    frozen, lengths = _frozen_bonds(zmatrix, constraints)
    layout = fit_layout(
        canonical.numpy(), n_atoms=plain.n_atoms, folded=heads,
        siblings=sibling_rows(zmatrix, bonds), frozen=frozen,
    )  # fmt: skip
    layout.centre[frozen] = lengths
    offset = canonical - torch.from_numpy(layout.centre)
    offset[:, n_linear:] = wrap(offset[:, n_linear:])
    narrow = offset[:, layout.narrow]
    return InternalChart(
        plain, layout, window=window,
        mean=narrow.mean(0) + torch.from_numpy(layout.centre[layout.narrow]),
        whiten=_whitening(narrow, zmatrix, layout),
    )  # fmt: skip


def _frozen_bonds(
    zmatrix: ZMatrix, constraints: Sequence[tuple[int, int, float]]
) -> tuple[np.ndarray, np.ndarray]:
    """Columns and lengths of the constrained bonds."""
    column = {frozenset(row[:2]): index - 1 for index, row in enumerate(zmatrix.rows) if index}
    for i, j, length in constraints:
        if frozenset((i, j)) not in column:
            raise ValueError(
                f"constraints: atoms {i} and {j} are held {length} nm apart, but that distance is "
                "not a bond of the Z-matrix, so no chart can freeze it; rebuild the system with "
                "constraints=None, or with HBonds at most"
            )
    columns = [column[frozenset((i, j))] for i, j, _ in constraints]
    order = np.argsort(columns)
    lengths = np.array([length for _, _, length in constraints])[order]
    return np.array(columns, dtype=np.int64)[order], lengths


def _whitening(narrow: Tensor, zmatrix: ZMatrix, layout: Layout) -> Tensor:
    """Inverse symmetric square root of the covariance, which keeps each coordinate's identity."""
    covariance = torch.cov(narrow.T)
    deviation = covariance.diagonal().sqrt()
    if not bool((deviation > 1e-6).all()):
        rigid = layout.narrow[(deviation <= 1e-6).nonzero()[:, 0].numpy()]
        rows = [zmatrix.rows[index + 1] for index in rigid if index < zmatrix.n_atoms - 1]
        raise ValueError(
            f"x: {len(rigid)} coordinate(s) do not vary in the data (bonds {rows}); a density "
            "needs them free: declare them in constraints, or rebuild with constraints=None"
        )
    correlation = covariance / deviation / deviation[:, None]
    values, vectors = torch.linalg.eigh(correlation)
    root = vectors @ torch.diag(values.rsqrt()) @ vectors.T
    return root / deviation
