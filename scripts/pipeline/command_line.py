"""What the command lines of all scripts share: the parser, numbers, folders, devices."""

import argparse
import math
import os
import re
from pathlib import Path
from typing import NoReturn

import torch

_MAX_SEED = 2**63 - 1


class Parser(argparse.ArgumentParser):
    """A command line described by a text, which answers a mistake with one line.

    Args:
        description: The text, printed as it is.
    """

    def __init__(self, description: str | None) -> None:
        super().__init__(
            description=description, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        # "-100:300" is a bad temperature range, not an unknown option.
        self._negative_number_matcher = re.compile(r"-\d")

    def error(self, message: str) -> NoReturn:
        """Name the argument and leave."""
        program, mistake = Path(self.prog).stem, message.removeprefix("argument ")
        self.exit(2, f"{program}: {mistake} (--help says more)\n")


def positive_count(text: str) -> int:
    """Read a whole number above 0."""
    return _whole_number(text, 1, "above 0")


def count(text: str) -> int:
    """Read a whole number, 0 included."""
    return _whole_number(text, 0, "of at least 0")


def sample_count(text: str) -> int:
    """Read a number of samples that has a spread."""
    return _whole_number(text, 2, "above 1")


def seed(text: str) -> int:
    """Read a seed."""
    return _whole_number(text, 0, f"from 0 to {_MAX_SEED}")


def positive_number(text: str) -> float:
    """Read a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value


def number_list(text: str) -> tuple[float, ...]:
    """Read "0.25,0.29" as numbers."""
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = (math.nan,)
    if not all(math.isfinite(value) for value in found):
        raise argparse.ArgumentTypeError(f"expected numbers such as 0.25,0.29, got {text!r}")
    return found


def _whole_number(text: str, least: int, words: str) -> int:
    if not (text.isascii() and text.isdigit() and least <= int(text) <= _MAX_SEED):
        raise argparse.ArgumentTypeError(f"expected a whole number {words}, got {text!r}")
    return int(text)


def make_folder(argument: str, path: Path) -> None:
    """Make a directory, or see that files can be written in it.

    Raises:
        ValueError: It cannot be; names the argument.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"{argument}: cannot make the directory {path}: {error.strerror}"
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise ValueError(f"{argument}: cannot write in the directory {path}")


def device(text: str) -> torch.device:
    """Read a device that is there."""
    try:
        found = torch.device(text)
        torch.zeros(1, device=found).item()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise argparse.ArgumentTypeError(
            f"expected cpu or a device here, got {text!r}: {reason}"
        ) from None
    return found
