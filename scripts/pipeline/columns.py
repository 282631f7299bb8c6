"""Results as columns of numbers with names, and these as a CSV file."""

import csv
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from boltzgen.storage import write_atomically
from pipeline.numbers import Numbers


def with_error(name: str, numbers: Numbers) -> dict[str, np.ndarray]:
    """Two columns: the values, and their errors with _error behind the name."""
    return {name: numbers.values, f"{name}_error": numbers.errors}


def as_word(name: str) -> str:
    """A name in words as part of the name of a column."""
    return re.sub(r"[^0-9A-Za-z]+", "_", name).strip("_")


def write_columns(path: Path | str, columns: Mapping[str, np.ndarray]) -> None:
    """Write columns of equal length, (K,), as CSV; NaN becomes an empty cell.

    Raises:
        OSError: The file could not be written; the previous one is intact.
    """

    def fill(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            for row in zip(*columns.values(), strict=True):
                writer.writerow(["" if np.isnan(v) else repr(float(v)) for v in row])

    write_atomically(path, fill)
