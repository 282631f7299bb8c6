"""Tabulated functions as OpenMM has them: cubic splines in one to three dimensions, or look-up.

References:
    OpenMM User Guide, section "Tabulated Functions"; OpenMM's SplineFitter: its two- and
    three-dimensional splines are products of one-dimensional natural or periodic ones.
"""

from collections.abc import Callable, Sequence

import numpy as np
import openmm
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor, nn

_PERIOD_TOLERANCE = 1e-9


class SplineTable(nn.Module):
    """Product of cubic splines through values on a regular grid; 0 outside it, or periodic.

    Args:
        values: On the grid, one axis for each argument; a periodic axis repeats its first value.
        ranges: (first, last) coordinate of each axis.
        periodic: Whether all axes are.

    Raises:
        ValueError: A periodic axis does not end where it begins.
    """

    coefficients: Tensor

    def __init__(
        self, values: np.ndarray, ranges: Sequence[tuple[float, float]], *, periodic: bool
    ) -> None:
        super().__init__()
        self.ranges, self.periodic = tuple(ranges), periodic
        self.cells = tuple(n - 1 for n in values.shape)
        self.widths = tuple(
            (high - low) / n for (low, high), n in zip(ranges, self.cells, strict=True)
        )
        if periodic:
            _check_periodic(values)
        n_axes = values.ndim
        found = np.asarray(values, dtype=np.float64)
        kind = "periodic" if periodic else "natural"
        for low, high in ranges:  # the axis at the front becomes (power, cell) at the back
            nodes = np.linspace(low, high, found.shape[0])
            rising = CubicSpline(nodes, found, axis=0, bc_type=kind).c[::-1]
            found = np.moveaxis(rising, (0, 1), (-2, -1))
        order = [2 * k + 1 for k in range(n_axes)] + [2 * k for k in range(n_axes)]
        table = found.transpose(order).reshape(int(np.prod(self.cells)), 4**n_axes)
        self.register_buffer("coefficients", torch.from_numpy(np.ascontiguousarray(table)))

    def forward(self, *arguments: Tensor) -> Tensor:
        """Interpolate at arguments of shapes that broadcast."""
        tensors = torch.broadcast_tensors(*arguments)
        cell = torch.zeros_like(tensors[0], dtype=torch.long)
        inside = torch.ones_like(tensors[0], dtype=torch.bool)
        offsets = []
        for t, (low, high), n, width in zip(
            tensors, self.ranges, self.cells, self.widths, strict=True
        ):
            if self.periodic:
                t = t - (high - low) * torch.floor((t.detach() - low) / (high - low))
            inside = inside & (t >= low) & (t <= high)
            index = ((t.detach() - low) / width).nan_to_num(0.0).floor().clamp(0, n - 1)
            cell = cell * n + index.long()
            offsets.append(t - (low + index * width))
        value = self._polynomial(cell, offsets)
        return value if self.periodic else torch.where(inside, value, 0.0)

    def _polynomial(self, cell: Tensor, offsets: list[Tensor]) -> Tensor:
        dtype = offsets[0].dtype
        rows = self.coefficients.to(dtype)[cell].unflatten(-1, [4] * len(offsets))
        for offset in reversed(offsets):  # Horner's rule along the last axis
            u = offset.reshape(*offset.shape, *[1] * (rows.dim() - offset.dim() - 1))
            rows = ((rows[..., 3] * u + rows[..., 2]) * u + rows[..., 1]) * u + rows[..., 0]
        return rows


class DiscreteTable(nn.Module):
    """Values at whole numbers 0, 1, ...; NaN outside the table, where OpenMM raises.

    Args:
        values: One axis for each argument.
    """

    values: Tensor

    def __init__(self, values: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("values", torch.from_numpy(np.array(values, dtype=np.float64)))

    def forward(self, *arguments: Tensor) -> Tensor:
        """Look up at the nearest whole numbers; halves away from zero."""
        tensors = torch.broadcast_tensors(*arguments)
        outside = torch.zeros_like(tensors[0], dtype=torch.bool)
        indices = []
        for t, n in zip(tensors, self.values.shape, strict=True):
            index = t.detach().sign() * (t.detach().abs() + 0.5).floor()
            outside = outside | ~((index >= 0) & (index < n))
            indices.append(index.nan_to_num(0.0).clamp(0, n - 1).long())
        found = self.values[tuple(indices)].to(tensors[0].dtype)
        return found.masked_fill(outside, torch.nan)


def _check_periodic(values: np.ndarray) -> None:
    for axis in range(values.ndim):
        ends = np.take(values, [0, -1], axis=axis)
        scale = _PERIOD_TOLERANCE * max(1.0, float(np.abs(values).max()))
        if np.abs(np.diff(ends, axis=axis)).max() > scale:
            raise ValueError(f"values: expected the first value again at the end of axis {axis}")


def tabulated(function: openmm.TabulatedFunction) -> nn.Module:
    """Translate one of OpenMM's tabulated functions.

    Raises:
        ValueError: It is of a kind unknown here.
    """
    kind = type(function).__name__
    if kind not in _KINDS:
        raise ValueError(f"function: expected one of {sorted(_KINDS)}, got {kind}")
    return _KINDS[kind](function)


def _continuous_1d(function: openmm.Continuous1DFunction) -> SplineTable:
    values, low, high = function.getFunctionParameters()
    return SplineTable(np.array(values), [(low, high)], periodic=function.getPeriodic())


def _continuous(function: openmm.TabulatedFunction) -> SplineTable:
    found = function.getFunctionParameters()  # n1, .., nd, values, low1, high1, ...
    n_axes = (len(found) - 1) // 3
    sizes, values, limits = found[:n_axes], found[n_axes], found[n_axes + 1 :]
    grid = np.array(values).reshape(sizes[::-1]).transpose()  # the first argument runs fastest
    ranges = [(limits[2 * k], limits[2 * k + 1]) for k in range(n_axes)]
    return SplineTable(grid, ranges, periodic=function.getPeriodic())


def _discrete(function: openmm.TabulatedFunction) -> DiscreteTable:
    if isinstance(function, openmm.Discrete1DFunction):
        return DiscreteTable(np.array(function.getFunctionParameters()))
    *sizes, values = function.getFunctionParameters()
    return DiscreteTable(np.array(values).reshape(sizes[::-1]).transpose())


_KINDS: dict[str, Callable[[openmm.TabulatedFunction], nn.Module]] = {
    "Continuous1DFunction": _continuous_1d,
    "Continuous2DFunction": _continuous,
    "Continuous3DFunction": _continuous,
    "Discrete1DFunction": _discrete,
    "Discrete2DFunction": _discrete,
    "Discrete3DFunction": _discrete,
}
