"""Values and parameters that have broken splines: edges, knots, huge numbers, extreme logits."""

import math
from dataclasses import dataclass

import torch
from hypothesis import strategies as st

from boltzgen.flows import CircularSplineTransform, SplineTransform, Transform
from boltzgen.flows.splines import Knots

HALF_WIDTH = 5.0
DTYPES = (torch.float64, torch.float32)
SCALES = (0.0, 0.3, 1.0, 3.0, 30.0, 1e3)


@dataclass(frozen=True)
class Drawn:
    """One spline of hypothesis's choice: its kind, size, precision and the size of its logits."""

    circular: bool
    n_bins: int
    dtype: torch.dtype
    scale: float
    seed: int

    @property
    def transform(self) -> Transform:
        if self.circular:
            return CircularSplineTransform(self.n_bins)
        return SplineTransform(self.n_bins, HALF_WIDTH)

    @property
    def half_width(self) -> float:
        return math.pi if self.circular else HALF_WIDTH

    @property
    def epsilon(self) -> float:
        return torch.finfo(self.dtype).eps

    def parameters(self) -> torch.Tensor:
        """One row of parameters, shape (P,)."""
        generator = torch.Generator().manual_seed(self.seed)
        row = torch.randn(self.transform.n_parameters, generator=generator, dtype=torch.float64)
        return (self.scale * row).to(self.dtype)

    def knots(self) -> Knots:
        return self.transform._knots(self.parameters()[None])

    def values(self, marks: torch.Tensor) -> torch.Tensor:
        """Marks and their neighbours, the edges, a random and a regular cover of the interval."""
        generator = torch.Generator().manual_seed(self.seed + 1)
        edge = torch.tensor([-self.half_width, self.half_width], dtype=self.dtype)
        marks = torch.cat([marks, edge, torch.zeros(1, dtype=self.dtype)])
        up, down = torch.full_like(marks, torch.inf), torch.full_like(marks, -torch.inf)
        near = [torch.nextafter(marks, up), torch.nextafter(marks, down), marks + 1e-4, marks]
        cover = torch.rand(64, generator=generator, dtype=self.dtype) * 2 - 1
        regular = torch.linspace(-1, 1, 33, dtype=self.dtype)
        return torch.cat([*near, self.half_width * cover, self.half_width * regular])

    def map(self, values: torch.Tensor, *, inverse: bool = False):
        """Apply the transform to each value by itself: (N,) -> (N,), (N,)."""
        rows = self.parameters().expand(len(values), 1, -1)
        call = self.transform.inverse if inverse else self.transform.forward
        mapped, log_slope = call(values[:, None], rows)
        return mapped[:, 0], log_slope


def drawn(*, circular: bool | None = None, scales=SCALES, dtypes=DTYPES):
    """Splines of both kinds, or of one."""
    return st.builds(
        Drawn,
        circular=st.booleans() if circular is None else st.just(circular),
        n_bins=st.integers(2, 12),
        dtype=st.sampled_from(dtypes),
        scale=st.sampled_from(scales),
        seed=st.integers(0, 2**31),
    )


def around(difference: torch.Tensor, *, circular: bool) -> torch.Tensor:
    """Size of a difference, by the shorter way around where it is one of angles."""
    if circular:
        turn = 2 * math.pi
        difference = difference - turn * (difference / turn).round()
    return difference.abs()
