"""The chart that flows see: whitened narrow coordinates and periodic torsions of a molecule."""

import math

import torch
from torch import Tensor, nn

from systems.charts.geometry import wrap
from systems.charts.internal import InternalCoordinates
from systems.charts.layout import Layout
from systems.charts.methyl import LeafGroup
from systems.charts.zmatrix import ZMatrix
from systems.checks import check_event


class InternalChart(nn.Module):
    """Positions (B, n, 3) in nm <-> a vector z (B, D) for a flow.

    The vector holds first the narrow coordinates (bonds, angles, torsions that stay in one place),
    whitened: z = W (q - mean), of zero mean and unit covariance in the data; then the periodic
    torsions in [-pi, pi), shifted so that the cut lies where the data are thinnest.

    **Handedness.** A torsion measured against a sibling has opposite signs in the two hands of its
    centre. Where the data hold one sign, the domain of the chart is that sign: configurations of
    the other hand lie outside (`in_domain` is false, their energy is +inf and their weight 0).
    Where the data hold both, both are inside. A centre of which two bonds close rings may have no
    such torsion; there the hand follows from the torsions of the rings, which the flow learns.

    **Equivalent hydrogens.** Each methyl-like group is brought to one of its six labellings (see
    `systems.charts.methyl`); `to_internal` is therefore many to one, and `to_cartesian` returns
    the canonical labels. `log_copies` is the constant log of the number of copies: the integral
    of exp(-energy) over z is that over all positions, less overall position and orientation,
    divided by exp(log_copies). A configuration in which two leaves of a group are more than half a
    turn apart lies outside (about one in 10^5 of alanine dipeptide at 600 K).

    **Rings** lose one bond each to the spanning tree. That bond is not a coordinate: the ring is
    closed by its energy alone, which makes such molecules harder to learn, not wrong.

    **Constrained bonds** are frozen at their lengths: they are not coordinates, and the density is
    that of U on the constrained surface in the measure of the free coordinates. (Rigid-bond
    dynamics samples this up to the mass-metric factor |Z|^1/2 of Fixman, which varies by parts in
    a thousand when only bonds to hydrogen are rigid.)

    Results have the dtype of the input; the constants are kept in float64.

    Args:
        coordinates: The internal coordinates.
        layout: Roles of the coordinates.
        window: Centres of the folded phases, shape (M,), rad.
        mean: Mean of the narrow coordinates, shape (n_narrow,).
        whiten: W, shape (n_narrow, n_narrow), invertible.

    Raises:
        ValueError: A shape does not fit the others.
    """

    centre: Tensor
    colour: Tensor
    fold: Tensor
    frozen_lengths: Tensor
    log_scale: Tensor
    lower: Tensor
    mean: Tensor
    narrow_columns: Tensor
    order: Tensor
    periodic_columns: Tensor
    upper: Tensor
    whiten: Tensor
    window: Tensor

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
        self.log_copies = len(coordinates.leaves) * math.log(6)
        self._check_shapes(window, mean, whiten)
        narrow, periodic, frozen, fold, centre = (
            torch.from_numpy(array.copy())
            for array in (layout.narrow, layout.periodic, layout.frozen, layout.fold, layout.centre)
        )
        log_fold = fold[periodic].to(whiten.dtype).log().sum()
        constants = {
            "window": window, "mean": mean, "whiten": whiten, "colour": torch.linalg.inv(whiten),
            "lower": torch.from_numpy(layout.lower), "upper": torch.from_numpy(layout.upper),
            "centre": centre, "fold": fold[periodic], "frozen_lengths": centre[frozen],
            "narrow_columns": narrow, "periodic_columns": periodic,
            "order": torch.cat([narrow, periodic, frozen]).argsort(),
            "log_scale": torch.linalg.slogdet(whiten).logabsdet + log_fold,
        }  # fmt: skip
        for name, value in constants.items():
            self.register_buffer(name, value, persistent=False)

    def _check_shapes(self, window: Tensor, mean: Tensor, whiten: Tensor) -> None:
        got = [len(self.layout.centre), tuple(window.shape), tuple(mean.shape)]
        got.append(tuple(whiten.shape))
        n, n_groups = self.n_narrow, len(self.coordinates.leaves)
        expected = [self.coordinates.n_coordinates, (n_groups,), (n,), (n, n)]
        if got != expected:
            raise ValueError(
                "chart: expected the number of coordinates and the shapes of window, mean and "
                f"whiten to be {expected}, got {got}"
            )

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
        offset = q - self.centre.to(q.dtype)[:, None]
        narrow = self._unwrapped(offset).index_select(0, self.narrow_columns)
        shift = (self.centre[self.narrow_columns] - self.mean).to(q.dtype)
        white = self.whiten.to(q.dtype) @ (narrow + shift[:, None])
        turns = wrap(offset.index_select(0, self.periodic_columns) * self.fold[:, None])
        z = torch.cat([white, turns]).T.contiguous()
        return z, self.log_scale.to(q.dtype) - log_volume

    def _unwrapped(self, offset: Tensor) -> Tensor:
        """Offsets from the centre, those of torsions brought to [-pi, pi)."""
        bonds, angles, torsions = self.coordinates.split(offset)
        return torch.cat([bonds, angles, wrap(torsions)])

    def to_cartesian(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Map chart coordinates to positions.

        Args:
            z: Shape (B, D).

        Returns:
            Positions (B, n, 3) in nm, in the frame of the Z-matrix, and log|det dx/dz| (B,).

        Raises:
            ValueError: z has the wrong shape or dtype.
        """
        q = self._coordinates_of(z)
        log_volume = self.coordinates.log_volume(q)
        x = self.coordinates.place(self.coordinates.labelled(q, self.window))
        return x, log_volume - self.log_scale.to(q.dtype)

    def in_domain(self, z: Tensor) -> Tensor:
        """Whether each z lies where the chart is one to one, (B, D) -> bool (B,).

        Whole turns of the periodic components make no difference.
        """
        q = self._coordinates_of(z)
        narrow = q.index_select(0, self.narrow_columns)
        lower, upper = self.lower.to(q.dtype)[:, None], self.upper.to(q.dtype)[:, None]
        inside = (narrow > lower) & (narrow < upper)
        whole = z.isfinite().all(1)
        return inside.all(0) & whole & self.coordinates.leaves_ordered(q)

    def _coordinates_of(self, z: Tensor) -> Tensor:
        """Canonical internal coordinates, shape (3 n - 6, B)."""
        check_event("z", z, self.event_shape)
        white, turns = z.T.split([self.n_narrow, self.n_periodic])
        narrow = self.colour.to(z.dtype) @ white + self.mean.to(z.dtype)[:, None]
        centre = self.centre[self.periodic_columns].to(z.dtype)[:, None]
        angles = centre + wrap(turns) / self.fold[:, None]
        frozen = self.frozen_lengths.to(z.dtype)[:, None].expand(-1, len(z))
        return torch.cat([narrow, angles, frozen]).index_select(0, self.order)

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
        ValueError: An entry is missing, or entries do not fit each other.
    """
    missing = {"zmatrix", "leaves", "frozen", "centre", "fold", "narrow", "periodic", "lower",
               "upper", "window", "mean", "whiten"} - set(state)  # fmt: skip
    if missing:
        raise ValueError(f"state: expected the entries of a chart, missing {sorted(missing)}")
    rows = tuple((i, j, k, m) for i, j, k, m in state["zmatrix"].tolist())
    groups = [LeafGroup((a, b, c)) for a, b, c in state["leaves"].tolist()]
    arrays = {
        name: state[name].detach().cpu().numpy()
        for name in ("centre", "fold", "periodic", "narrow", "frozen", "lower", "upper")
    }
    return InternalChart(
        InternalCoordinates(ZMatrix(rows), groups), Layout(**arrays),
        window=state["window"], mean=state["mean"], whiten=state["whiten"],
    )  # fmt: skip
