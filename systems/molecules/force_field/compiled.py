"""The energy of a force field through compiled graphs, with explicit forces."""

import os
import shutil
import sys
import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from systems.molecules.force_field.compiler import ForceField, inside_out, outside_in

BUCKETS = (32, 128, 512, 1024)
"""Batch sizes of compiled graphs, up to the largest power of two that the cache holds: a batch is
cut into these, the largest first, and only what is left at the end is padded."""
_ENERGY_BYTES, _BOTH_BYTES = 2**21, 2**20
"""Size of one component of all vectors that a graph works on: what it needs then fits a cache."""

_WARNED: set[str] = set()

Part = tuple[Tensor, int]
Result = TypeVar("Result")


class CompiledForceField:
    """A force field compiled by torch.compile: one graph for each batch size, dtype and device.

    A graph is compiled when it is first needed, which takes 10 to 30 seconds (less where torch
    finds it in its cache on disk), once for energies and once for energies with forces. The
    forces are written out (`ForceField.energy_and_gradient`); both together cost two to three
    energies. Second and higher derivatives are those of the eager force field. Copies and pickles
    hold no graphs.

    A graph runs on one thread, and the parts of a large batch on as many as torch has, if there are
    two parts or more for each.
    Without a compiler everything is evaluated eagerly, and a warning says so once.

    Args:
        field: The force field.
    """

    def __init__(self, field: ForceField) -> None:
        self.field = field
        self._graphs: dict[tuple[object, ...], Callable[..., Any]] = {}
        self._seen: set[tuple[object, ...]] = set()
        self._several = False
        self._pool: ThreadPoolExecutor | None = None

    def __getstate__(self) -> dict[str, object]:
        """Without graphs and threads, which belong to this process and this field."""
        return {
            "field": self.field,
            "_graphs": {},
            "_seen": set(),
            "_pool": None,
            "_several": False,
        }

    def __call__(self, x: Tensor) -> Tensor:
        """Potential energy in kJ/mol: (B, n_atoms, 3) in nm -> (B,).

        It is +inf where it is not finite; where it or its gradient is not, the gradient is zero.
        """
        if not (x.requires_grad and torch.is_grad_enabled()):
            return self.energy(x)
        energy: Tensor = _Energy.apply(x, self)
        return torch.where(energy.isfinite(), energy, torch.inf)  # no force comes back where not

    def energy(self, x: Tensor) -> Tensor:
        """The same without a gradient."""
        return _joined(self._each_part(self._energy_of, x, _ENERGY_BYTES))

    def energy_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Energy (B,) and dU/dx (B, n_atoms, 3), without a graph behind them."""
        found = self._each_part(self._both_of, x, _BOTH_BYTES)
        energies, gradients = zip(*found, strict=True)
        return _joined(energies), _joined(gradients)

    def _energy_of(self, part: Part) -> Tensor:
        x, n = part
        with torch.no_grad():
            energy: Tensor = self._run(_energy, x)
            return energy[:n]

    def _both_of(self, part: Part) -> tuple[Tensor, Tensor]:
        x, n = part
        with torch.no_grad():
            energy, gradient = self._run(_both, x)
            return energy[:n], gradient[:n]

    def _each_part(
        self, evaluate: Callable[[Part], Result], x: Tensor, n_bytes: int
    ) -> list[Result]:
        """Evaluate all parts of a batch, on several threads if there are several."""
        n_threads = 1 if x.is_cuda else torch.get_num_threads()
        # A graph takes it for granted that its argument is contiguous.
        parts = list(_in_buckets(x.detach().contiguous(), self._buckets(x, n_bytes)))
        self._several = n_threads > 1
        if n_threads == 1 or len(parts) < 2 * n_threads:  # handing over takes as long as a part
            return [evaluate(part) for part in parts]
        kinds = {(evaluate.__name__, part.shape, x.dtype) for part, _ in parts}
        if not kinds <= self._seen:  # compiled now: not by two threads at once
            self._seen |= kinds
            return [evaluate(part) for part in parts]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(n_threads, thread_name_prefix="energy")
        return list(self._pool.map(evaluate, parts))

    def _buckets(self, x: Tensor, n_bytes: int) -> tuple[int, ...]:
        """Batch sizes of the graphs."""
        if x.is_cuda:
            return BUCKETS
        holds = n_bytes // (x.element_size() * max(1, self.field.n_vectors))
        largest = min(max(1 << holds.bit_length() >> 1, BUCKETS[0]), BUCKETS[-1])
        return (*(size for size in BUCKETS if size < largest), largest)

    def _run(self, function: Callable[..., Any], x: Tensor) -> Any:  # noqa: ANN401
        """Evaluate, through a graph if there can be one."""
        key = (function, x.shape, x.dtype, x.device, self._several)
        if key not in self._graphs:
            if x.numel() == 0 or not _can_compile(x.device):
                return function(self.field, x)
            _keep_freed_memory()
            # The key says all that torch would check again at each call, which takes long here.
            self._graphs[key] = torch.compile(
                _copy(function), dynamic=False, fullgraph=True,
                options={
                    "guard_filter_fn": torch.compiler.skip_all_guards_unsafe, "cpp.threads": 1,
                    "cpp_wrapper": self._several,  # it lets go of Python's global lock
                    "assert_indirect_indexing": False,
                    "size_asserts": False, "cpp.enable_floating_point_contract_flag": "fast",
                },
            )  # fmt: skip
        return self._graphs[key](self.field, x)


def _in_buckets(x: Tensor, buckets: Sequence[int]) -> Iterator[Part]:
    """Cut a batch into buckets, the largest first; what is left is padded to one.

    Yields:
        Configurations, and how many of them count. An empty batch is one part.
    """
    first = 0
    for bucket in reversed(buckets):
        while len(x) - first >= bucket:
            yield x[first : first + bucket], bucket
            first += bucket
    rest = x[first:]
    if len(rest):
        bucket = next(size for size in buckets if size >= len(rest))
        yield torch.cat([rest, rest[:1].expand(bucket - len(rest), -1, -1)]), len(rest)
    elif first == 0:
        yield rest, 0


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def _energy(field: ForceField, x: Tensor) -> Tensor:
    energy = field.energy(inside_out(x))
    return torch.where(energy.isfinite(), energy, torch.inf)


def _both(field: ForceField, x: Tensor) -> tuple[Tensor, Tensor]:
    energy, gradient = field.energy_and_gradient(inside_out(x))
    energy = torch.where(energy.isfinite(), energy, torch.inf)
    return energy, _finite_or_zero(outside_in(gradient))


def _finite_or_zero(gradient: Tensor) -> Tensor:
    """A gradient (B, n_atoms, 3), zero for each configuration where its sum is not finite.

    The sum is much faster than a look at each number, and finite only where all of them are.
    """
    known = gradient.flatten(1).sum(1).isfinite()
    return torch.where(known[:, None, None], gradient, 0.0)


class FiniteGradient(torch.autograd.Function):
    """The identity; configurations whose gradient, of whatever order, is not finite get none."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        """Return x."""
        del ctx
        return x.view_as(x)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> Tensor:
        """Return the gradient, zero where it is not finite."""
        del ctx
        return _finite_or_zero(gradient)


def _copy(function: Callable[..., Any]) -> Callable[..., Any]:
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


def _keep_freed_memory() -> None:
    """Have the C library keep what a call frees for the next call.

    glibc gives the top of its heap back to the system once more than 128 KB of it are free, and
    every page of the next call's buffers is a page fault again: together they can take three times
    as long as the energies. Its threshold grows to twice the largest block so far that was freed
    and had been mapped on its own, up to 32 MB (mallopt(3), M_MMAP_THRESHOLD); so free one.
    """
    torch.empty(31 * 2**20, dtype=torch.uint8)


class _Energy(torch.autograd.Function):
    """U(x), with the gradient of the same call kept for the backward pass."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, compiled: CompiledForceField) -> Tensor:
        ctx.field = compiled.field  # type: ignore[attr-defined]
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
            finite = FiniteGradient.apply(x)
            energy = ctx.field(finite)  # type: ignore[attr-defined]
            energy = torch.where(energy.isfinite(), energy, torch.inf)
            (slope,) = torch.autograd.grad(energy, x, weight, create_graph=True)
            along = (slope * v).sum()
            in_x, in_weight = torch.autograd.grad(along, (x, weight), create_graph=again)
        return in_x, None, in_weight, None


def _alias(x: Tensor) -> Tensor:
    """The same values as a tensor of its own, through which x alone can be reached.

    Differentiating in x itself would also go through the incoming gradient, which depends on it.
    """
    return x.view_as(x) if x.requires_grad else x.detach().requires_grad_()
