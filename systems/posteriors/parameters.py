"""Named parameters on their supports, as one vector of unconstrained numbers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from systems.posteriors.supports import Real, Support

Values = Mapping[str, Tensor]
"""Parameters by name, each of shape (B, *shape)."""


@dataclass(frozen=True)
class Parameter:
    """A parameter.

    Args:
        name: A word, unique in its space.
        shape: Of one value; () for a number.
        support: Where it lives.

    Raises:
        ValueError: The name is empty, or the support has no values of this shape.
    """

    name: str
    shape: tuple[int, ...] = ()
    support: Support = Real()

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(f"name: expected a word, got {self.name!r}")
        if not all(isinstance(n, int) and n >= 1 for n in self.shape):
            raise ValueError(f"shape: expected lengths of at least 1, got {self.shape}")
        self.support.free_shape(self.shape)

    @property
    def free_shape(self) -> tuple[int, ...]:
        """Shape of its unconstrained numbers."""
        return self.support.free_shape(self.shape)

    @property
    def labels(self) -> list[str]:
        """Names of its components, such as theta[0]."""
        return [
            self.name + (f"[{','.join(map(str, index))}]" if index else "")
            for index in np.ndindex(*self.shape)
        ]


class ParameterSpace:
    """Parameters one after another.

    Args:
        parameters: At least one, with distinct names.

    Raises:
        ValueError: None, or a name twice.
    """

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        names = [parameter.name for parameter in parameters]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"parameters: expected at least one and distinct names, got {names}")
        self.parameters = tuple(parameters)
        self.names = tuple(names)
        self._sizes = [math.prod(parameter.free_shape) for parameter in parameters]
        self.n_free = sum(self._sizes)
        """Unconstrained numbers, D."""
        self.labels = tuple(label for parameter in parameters for label in parameter.labels)
        """Names of all components of all values, such as tau, theta[0]."""

    def constrain(self, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Values by name, each (B, *shape), and log|det| of the map, (B,), from x (B, D)."""
        values, total = {}, x.new_zeros(len(x))
        for parameter, piece in zip(self.parameters, x.split(self._sizes, 1), strict=True):
            shaped = piece.reshape(len(x), *parameter.free_shape)
            values[parameter.name], logdet = parameter.support.constrain(shaped)
            total = total + logdet
        return values, total

    def holds(self, values: Values) -> Tensor:
        """Whether all values of a row are inside their supports, (B,)."""
        pieces = [
            _rows(parameter.support.holds(value))
            for parameter, value in zip(self.parameters, self._ordered(values), strict=True)
        ]
        return torch.cat(pieces, 1).all(1)

    def unconstrain(self, values: Values) -> Tensor:
        """Undo `constrain`: x, (B, D).

        Raises:
            ValueError: A parameter is missing or unknown, has another shape, or is outside its
                support.
        """
        return torch.cat(
            [
                self._unconstrained(parameter, value)
                for parameter, value in zip(self.parameters, self._ordered(values), strict=True)
            ],
            1,
        )

    @staticmethod
    def _unconstrained(parameter: Parameter, value: Tensor) -> Tensor:
        try:
            return _rows(parameter.support.unconstrain(value))
        except ValueError as error:
            raise ValueError(f"{parameter.name}: {error}") from error

    def flatten(self, values: Values) -> Tensor:
        """All components in the order of `labels`, (B, n)."""
        return torch.cat([_rows(value) for value in self._ordered(values)], 1)

    def _ordered(self, values: Values) -> list[Tensor]:
        if set(values) != set(self.names):
            raise ValueError(f"values: expected {', '.join(self.names)}, got {', '.join(values)}")
        for parameter in self.parameters:
            shape = tuple(values[parameter.name].shape)
            if shape[1:] != parameter.shape or not shape:
                raise ValueError(
                    f"{parameter.name}: expected shape (B, {', '.join(map(str, parameter.shape))}),"
                    f" got {shape}"
                )
        return [values[name] for name in self.names]


def _rows(value: Tensor) -> Tensor:
    """(B, *shape) to (B, n); a number for each row, (B,), to (B, 1)."""
    return value[..., None].flatten(1)
