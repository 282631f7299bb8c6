"""The energy of a force field through compiled graphs, with explicit forces."""

import os
import shutil
import sys
import types
import warnings
from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from systems.molecules.force_field.compiler import ForceField

BUCKETS = (32, 128, 512)
"""Batch sizes of compiled graphs; a batch is cut into the largest and padded to one of them."""

_WARNED: set[str] = set()


Evaluation = Callable[[ForceField, Tensor], tuple[Tensor, ...]]


class CompiledForceField:
    """A force field compiled by torch.compile: one graph for each batch size, dtype and device.

    A graph is compiled when it is first needed, which takes 10 to 30 seconds (less where torch
    finds it in its cache on disk), once for energies and once for energies with forces. Forces are
    part of the graph, so that a call that needs both costs about three energies. Second and higher
    derivatives are those of the eager force field. Copies and pickles hold no graphs.

    Graphs use as many threads as torch has when they are compiled. Without a compiler everything
    is evaluated eagerly, and a warning says so once.

    Args:
        field: The force field.
    """

    def __init__(self, field: ForceField) -> None:
        self.field = field
        self._graphs: dict[tuple[object, ...], Evaluation] = {}

    def __getstate__(self) -> dict[str, object]:
        """Without the graphs, which belong to this process and this field."""
        return {"field": self.field, "_graphs": {}}

    def __call__(self, x: Tensor) -> Tensor:
        """Potential energy in kJ/mol: (B, n_atoms, 3) in nm -> (B,)."""
        energy: Tensor = _Energy.apply(x, self)
        return energy

    def energy(self, x: Tensor) -> Tensor:
        """The same without a gradient."""
        return self._run(_energy, x)[0]

    def energy_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Energy (B,) and dU/dx (B, n_atoms, 3), without a graph behind them."""
        energy, gradient = self._run(_energy_and_gradient, x)
        return energy, gradient

    @torch.no_grad()
    def _run(self, function: Evaluation, x: Tensor) -> tuple[Tensor, ...]:
        """Cut into buckets, evaluate, put together."""
        x = x.detach()
        if len(x) == 0:
            return function(self.field, x)
        can_compile = _can_compile(x.device)
        found = []
        for part in x.split(BUCKETS[-1]):
            if can_compile:
                bucket = next(size for size in BUCKETS if size >= len(part))
                padding = part[:1].expand(bucket - len(part), -1, -1)
                graph = self._graph(function, x, bucket)
                results = graph(self.field, torch.cat([part, padding]))
                found.append([result[: len(part)] for result in results])
            else:
                found.append(list(function(self.field, part)))
        return tuple(torch.cat(column) for column in zip(*found, strict=True))

    def _graph(self, function: Evaluation, x: Tensor, bucket: int) -> Evaluation:
        key = (function, bucket, x.dtype, x.device)
        if key not in self._graphs:
            self._graphs[key] = torch.compile(_copy(function), dynamic=False, fullgraph=True)
        return self._graphs[key]


def _energy(field: ForceField, x: Tensor) -> tuple[Tensor]:
    return (field(x),)


def _energy_and_gradient(field: ForceField, x: Tensor) -> tuple[Tensor, Tensor]:
    def total(y: Tensor) -> tuple[Tensor, Tensor]:
        energy = field(y)
        return energy.sum(), energy

    gradient, energy = torch.func.grad(total, has_aux=True)(x)
    return energy, gradient


def _copy(function: Evaluation) -> Evaluation:
    """The same function with a code object of its own.

    torch counts compilations for each code object and refuses the ninth.
    """
    code = function.__code__.replace()
    return types.FunctionType(code, function.__globals__, code.co_name)


def _can_compile(device: torch.device) -> bool:
    """Whether there is the compiler that torch needs: C++ for the processor, else C for Triton."""
    if device.type == "cpu":
        compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
        found = shutil.which(compiler) is not None
    else:
        compiler = os.environ.get("CC", "gcc")
        found = any(shutil.which(name) for name in (compiler, "cc", "clang"))
    if not found and compiler not in _WARNED:
        _WARNED.add(compiler)
        warnings.warn(
            f"no compiler ({compiler}) was found: energies are evaluated without compilation, "
            "several times slower; install one (Debian: g++) or set CXX",
            stacklevel=2,
        )
    return found


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
