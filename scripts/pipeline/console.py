"""What a person sees on the terminal: bars with remaining time, and tables."""

import sys
from types import TracebackType

from rich.console import Console
from rich.table import Table
from tqdm import tqdm

_WIDTH_OF_FILES = 120


class ProgressBar:
    """A bar that is told how much is done, with rate and remaining time.

    Args:
        description: What is under way.
        unit: What is counted.
        enabled: Whether to show it.
    """

    def __init__(self, description: str, *, unit: str, enabled: bool) -> None:
        self._bar = tqdm(
            desc=f"{description:<20}", unit=unit, unit_scale=True, disable=not enabled,
            dynamic_ncols=True, mininterval=0.5,
        )  # fmt: skip

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()

    def __call__(self, done: int, total: int) -> None:
        """Move to `done`; what the first call finds done does not count for the rate."""
        if self._bar.total is None:
            self._bar.total, self._bar.initial, self._bar.n = total, done, done
            self._bar.unpause()
        self._bar.update(done - self._bar.n)

    def say(self, values: dict[str, float]) -> None:
        """Show numbers at the end of the bar."""
        shown = {name: f"{value:.4g}" for name, value in values.items()}
        self._bar.set_postfix(shown, refresh=False)


def print_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table; the columns are right-aligned."""
    table = Table(title=title, title_justify="left", show_edge=False)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    # A file or a pipe has no width of its own, and nothing may be cut off in it.
    Console(width=None if sys.stdout.isatty() else _WIDTH_OF_FILES).print(table)
