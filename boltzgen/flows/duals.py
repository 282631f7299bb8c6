"""Numbers with derivatives along several directions, which networks take in the place of tensors.

torch's forward mode gives weights and constants tangents of zeros and multiplies with them, and for
a Jacobian works the values out again for each direction. Here values are worked out once, constants
have no tangents, and all directions go through an operation together. Gradients of all orders with
respect to weights, values and directions go through as well.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, Union

import torch
from torch import Tensor
from torch.nn import functional

from boltzgen.flows.activations import silu_slope

Operand = Union["Dual", Tensor, float]


class NoRuleError(AttributeError):
    """An operation whose derivative `Dual` does not know."""


class Dual:
    """A value and its derivatives along K directions.

    Knows sums, products, quotients, products with constant matrices, linear layers, powers and
    roots, exponentials, SiLU and sigmoid, joining and choosing, sums over the last axis and indices
    after an ellipsis: what networks of `boltzgen.flows.free_form` do to their input.

    Args:
        value: Any shape S.
        rates: The derivatives, (K, *S), or a shape that spreads over it.
    """

    def __init__(self, value: Tensor, rates: Tensor) -> None:
        missing = value.dim() + 1 - rates.dim()
        if missing > 0:
            rates = rates.reshape(len(rates), *[1] * missing, *rates.shape[1:])
        self.value, self.rates = value, rates.expand(len(rates), *value.shape)

    @classmethod
    def __torch_function__(
        cls,
        function: Callable[..., Any],
        types: Sequence[type],
        arguments: Sequence[Any] = (),
        keywords: Mapping[str, Any] | None = None,
    ) -> "Dual":
        """Calls of torch with a dual number among the arguments.

        Raises:
            NoRuleError: There is no rule for the function.
        """
        if function not in _RULES:
            raise NoRuleError(f"{getattr(function, '__name__', function)}: no rule for Dual")
        return _RULES[function](*arguments, **(keywords or {}))

    @property
    def shape(self) -> torch.Size:
        """S."""
        return self.value.shape

    @property
    def dtype(self) -> torch.dtype:
        """Of the value."""
        return self.value.dtype

    @property
    def device(self) -> torch.device:
        """Of the value."""
        return self.value.device

    def __len__(self) -> int:
        return len(self.value)

    def __getattr__(self, name: str) -> NoReturn:
        raise NoRuleError(f"{name}: no rule for Dual")

    def __add__(self, other: Operand) -> "Dual":
        if isinstance(other, Dual):
            return Dual(self.value + other.value, self.rates + other.rates)
        return Dual(self.value + other, self.rates)

    __radd__ = __add__

    def __neg__(self) -> "Dual":
        return Dual(-self.value, -self.rates)

    def __sub__(self, other: Operand) -> "Dual":
        if isinstance(other, Dual):
            return Dual(self.value - other.value, self.rates - other.rates)
        return Dual(self.value - other, self.rates)

    def __mul__(self, other: Operand) -> "Dual":
        if isinstance(other, Dual):
            rates = self.rates * other.value + self.value * other.rates
            return Dual(self.value * other.value, rates)
        return Dual(self.value * other, self.rates * other)

    __rmul__ = __mul__

    def __truediv__(self, other: Operand) -> "Dual":
        if isinstance(other, Dual):
            ratio = self.value / other.value
            return Dual(ratio, (self.rates - ratio * other.rates) / other.value)
        return Dual(self.value / other, self.rates / other)

    def __getitem__(self, index: tuple[Any, ...]) -> "Dual":
        if not (isinstance(index, tuple) and index[0] is Ellipsis):
            raise NoRuleError(f"index {index}: expected one that begins with an ellipsis")
        return Dual(self.value[index], self.rates[index])

    def sum(self, dim: int) -> "Dual":
        """Over one axis, counted from the right."""
        if dim >= 0:
            raise NoRuleError(f"sum over axis {dim}: expected one counted from the right")
        return Dual(self.value.sum(dim), self.rates.sum(dim))

    def square(self) -> "Dual":
        """Of each number."""
        return Dual(self.value.square(), 2 * self.value * self.rates)

    def sqrt(self) -> "Dual":
        """Of each number."""
        root = self.value.sqrt()
        return Dual(root, 0.5 / root * self.rates)

    def exp(self) -> "Dual":
        """Of each number."""
        grown = self.value.exp()
        return Dual(grown, grown * self.rates)

    def sigmoid(self) -> "Dual":
        """Of each number."""
        share = self.value.sigmoid()
        return Dual(share, share * (1 - share) * self.rates)


def _silu(x: Dual, *, inplace: bool = False) -> Dual:
    del inplace  # as `nn.SiLU` calls it
    return Dual(functional.silu(x.value), silu_slope(x.rates, x.value.expand_as(x.rates)))


def _matmul(matrix: Tensor, x: Dual) -> Dual:
    return Dual(matrix @ x.value, matrix @ x.rates)


def _linear(x: Dual, weight: Tensor, bias: Tensor | None = None) -> Dual:
    return Dual(functional.linear(x.value, weight, bias), functional.linear(x.rates, weight))


def _cat(parts: Sequence[Operand], dim: int = 0) -> Dual:
    duals = _lifted(parts)
    from_right = dim if dim < 0 else dim - duals[0].value.dim()
    return Dual(
        torch.cat([part.value for part in duals], from_right),
        torch.cat([part.rates for part in duals], from_right),
    )


def _where(condition: Tensor, first: Operand, second: Operand) -> Dual:
    one, other = _lifted([first, second])
    return Dual(
        torch.where(condition, one.value, other.value),
        torch.where(condition, one.rates, other.rates),
    )


def _lifted(parts: Sequence[Operand]) -> list[Dual]:
    """Tensors among dual numbers as dual numbers that do not change."""
    some = next(part for part in parts if isinstance(part, Dual))
    lifted = []
    for part in parts:
        if not isinstance(part, Dual):
            value = torch.as_tensor(part, dtype=some.dtype, device=some.device)
            none = value.new_zeros(()).expand(len(some.rates), *value.shape)
            lifted.append(Dual(value, none))
        else:
            lifted.append(part)
    return lifted


_RULES: dict[Callable[..., Any], Callable[..., Dual]] = {
    Tensor.add: lambda constant, x: x + constant,
    Tensor.sub: lambda constant, x: -x + constant,
    Tensor.mul: lambda constant, x: x * constant,
    Tensor.matmul: _matmul,
    functional.linear: _linear,
    functional.silu: _silu,
    torch.sigmoid: Dual.sigmoid,
    torch.exp: Dual.exp,
    torch.cat: _cat,
    torch.where: _where,
}


def push(
    network: Callable[[Any, Tensor], Any], x: Tensor, c: Tensor, directions: Tensor
) -> tuple[Tensor, Tensor]:
    """Value of a network and its derivatives along directions.

    A network with operations that `Dual` does not know goes through `torch.func.jvp`, which gives
    the same for more time.

    Args:
        network: (B, *E), controls (B, C) -> (B, *E); rows do not see each other.
        x: Where, (B, *E).
        c: Controls, (B, C).
        directions: (K, B, *E).
    """
    try:
        found = network(Dual(x, directions), c)
    except (NoRuleError, TypeError):  # what is wrong with the network itself, torch will say
        return _push_by_torch(network, x, c, directions)
    return found.value, found.rates


def _push_by_torch(
    network: Callable[[Tensor, Tensor], Tensor], x: Tensor, c: Tensor, directions: Tensor
) -> tuple[Tensor, Tensor]:
    def along(direction: Tensor) -> Tensor:
        pushed: Tensor = torch.func.jvp(lambda at: network(at, c), (x,), (direction,))[1]
        return pushed

    if len(directions) == 1:  # not every operation has a rule for vmap
        return network(x, c), along(directions[0])[None]
    return network(x, c), torch.func.vmap(along)(directions)
