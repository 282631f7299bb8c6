"""The energy of a force field through compiled graphs, with explicit forces."""

import os
import shutil
import sys
import warnings
from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from systems.molecules.force_field.compiler import ForceField

BUCKETS = (32, 128, 512)
"""Batch sizes of compiled graphs; a batch is cut into the largest and padded to one of them."""

_WARNED: set[str] = set()


class CompiledForceField:
    """A force field compiled by torch.compile: one graph for each batch size, dtype and device.

    A graph is compiled when it is first needed, which takes 10 to 30 seconds (less where torch
    finds it in its cache on disk), once for energies and once for energies with forces. Forces are
    part of the graph, so that a call that needs both costs about three energies. Second and higher
    derivatives are those of the eager force field.

    Graphs use as many threads as torch has when they are compiled. Without a compiler for the
    device everything is evaluated eagerly, and a warning says so once.

    Args:
        field: The force field.
    """

    def __init__(self, field: ForceField) -> None:
        self.field = field
        self._graphs: dict[tuple[object, ...], Callable[[Tensor], tuple[Tensor, ...]]] = {}

    def __call__(self, x: Tensor) -> Tensor:
        """Potential energy in kJ/mol: (B, n_atoms, 3) in nm -> (B,)."""
        energy: Tensor = _Energy.apply(x, self)
        return energy

    def energy(self, x: Tensor) -> Tensor:
        """The same without a gradient."""
        return self._run(self._energy_of, x)[0]

    def energy_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Energy (B,) and dU/dx (B, n_atoms, 3), without a graph behind them."""
        energy, gradient = self._run(self._energy_and_gradient_of, x)
        return energy, gradient

    def _energy_of(self, x: Tensor) -> tuple[Tensor]:
        return (self.field(x),)

    def _energy_and_gradient_of(self, x: Tensor) -> tuple[Tensor, Tensor]:
        def total(y: Tensor) -> tuple[Tensor, Tensor]:
            energy = self.field(y)
            return energy.sum(), energy

        gradient, energy = torch.func.grad(total, has_aux=True)(x)
        return energy, gradient

    @torch.no_grad()
    def _run(
        self, function: Callable[[Tensor], tuple[Tensor, ...]], x: Tensor
    ) -> tuple[Tensor, ...]:
        """Cut into buckets, evaluate, put together."""
        x = x.detach()
        if len(x) == 0:
            return function(x)
        found = []
        for part in x.split(BUCKETS[-1]):
            bucket = next(size for size in BUCKETS if size >= len(part))
            padding = part[:1].expand(bucket - len(part), -1, -1)
            results = self._graph(function, x, bucket)(torch.cat([part, padding]))
            found.append([result[: len(part)] for result in results])
        return tuple(torch.cat(column) for column in zip(*found, strict=True))

    def _graph(
        self, function: Callable[[Tensor], tuple[Tensor, ...]], x: Tensor, bucket: int
    ) -> Callable[[Tensor], tuple[Tensor, ...]]:
        if not _can_compile(x.device):
            return function
        key = (function.__name__, bucket, x.dtype, x.device)
        if key not in self._graphs:
            self._graphs[key] = torch.compile(function, dynamic=False, fullgraph=True)
        return self._graphs[key]


def _can_compile(device: torch.device) -> bool:
    """Whether there is a C++ compiler for the processor; elsewhere torch brings its own."""
    if device.type != "cpu":
        return True
    usual = "clang++" if sys.platform == "darwin" else "g++"
    compiler = os.environ.get("CXX", usual)
    if shutil.which(compiler):
        return True
    if compiler not in _WARNED:
        _WARNED.add(compiler)
        warnings.warn(
            f"no C++ compiler ({compiler}) was found: energies are evaluated without compilation, "
            "several times slower; install one (Debian: g++) or set CXX",
            stacklevel=2,
        )
    return False


class _Energy(torch.autograd.Function):
    """U(x), with the gradient of the same call kept for the backward pass."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, compiled: CompiledForceField) -> Tensor:
        ctx.field = compiled.field  # type: ignore[attr-defined]
        if not ctx.needs_input_grad[0]:  # type: ignore[attr-defined]
            return compiled.energy(x)
        energy, gradient = compiled.energy_and_gradient(x)
        ctx.save_for_backward(x, gradient)
        return energy

    @staticmethod
    def backward(ctx: FunctionCtx, weight: Tensor) -> tuple[Tensor, None]:
        x, gradient = ctx.saved_tensors  # type: ignore[attr-defined]
        return _Gradient.apply(x, gradient, weight, ctx.field), None  # type: ignore[attr-defined]


class _Gradient(torch.autograd.Function):
    """weight * dU/dx as a function of x and weight, whose derivatives are the eager ones."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, x: Tensor, gradient: Tensor, weight: Tensor, field: ForceField
    ) -> Tensor:
        ctx.field = field  # type: ignore[attr-defined]
        ctx.save_for_backward(x, weight)
        return gradient * weight[:, None, None]

    @staticmethod
    def backward(ctx: FunctionCtx, v: Tensor) -> tuple[Tensor, None, Tensor, None]:
        x, weight = ctx.saved_tensors  # type: ignore[attr-defined]
        again = torch.is_grad_enabled()
        with torch.enable_grad():
            x, weight = _alias(x), _alias(weight)
            energy = ctx.field(x)  # type: ignore[attr-defined]
            (slope,) = torch.autograd.grad(energy, x, weight, create_graph=True)
            along = (slope * v).sum()
            in_x, in_weight = torch.autograd.grad(along, (x, weight), create_graph=again)
        return in_x, None, in_weight, None


def _alias(x: Tensor) -> Tensor:
    """The same values as a tensor of its own, through which x alone can be reached.

    Differentiating in x itself would also go through the incoming gradient, which depends on it.
    """
    return x.view_as(x) if x.requires_grad else x.detach().requires_grad_()
