"""What every part of a force field is, and the arrays of indices and parameters it keeps."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn


class Term(nn.Module, ABC):
    """One force of a System: its energy at many configurations."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Energy in kJ/mol: positions (3, n_atoms, B) in nm -> (B,)."""


class Indices(nn.Module):
    """Whole numbers, one row for each interaction, read column by column.

    Args:
        rows: Shape (M, K).
    """

    def __init__(self, rows: Sequence[Sequence[int]] | np.ndarray) -> None:
        super().__init__()
        found = torch.as_tensor(np.asarray(rows, dtype=np.int64))
        self.n_rows, self.n_columns = found.shape
        for k in range(self.n_columns):
            self.register_buffer(f"column{k}", found[:, k].contiguous())

    def __iter__(self) -> Iterator[Tensor]:
        """The columns, each (M,)."""
        return (self.get_buffer(f"column{k}") for k in range(self.n_columns))


class Columns(nn.Module):
    """Parameters by name, one number for each interaction, kept in float64.

    Args:
        values: Each of shape (M,).
    """

    def __init__(self, values: Mapping[str, Sequence[float] | np.ndarray]) -> None:
        super().__init__()
        self.names = tuple(values)
        for name, numbers in values.items():
            column = torch.from_numpy(np.array(numbers, dtype=np.float64).reshape(-1, 1))
            self.register_buffer(f"_{name}", column)

    def like(self, x: Tensor) -> dict[str, Tensor]:
        """All columns (M, 1) in the dtype of x."""
        return {name: self.get_buffer(f"_{name}").to(x.dtype) for name in self.names}


def all_pairs(n_atoms: int) -> np.ndarray:
    """Pairs i < j, shape (n (n - 1) / 2, 2)."""
    return np.stack(np.triu_indices(n_atoms, 1), axis=1)


def without(pairs: np.ndarray, excluded: set[tuple[int, int]]) -> np.ndarray:
    """Pairs that are not excluded in either order."""
    keep = [(min(i, j), max(i, j)) not in excluded for i, j in pairs.tolist()]
    return pairs[np.array(keep, dtype=bool)]
