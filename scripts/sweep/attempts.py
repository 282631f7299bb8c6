"""One attempt at a point, where it is computed, and the computing of points in this process."""

import time
import traceback
from collections.abc import Callable
from typing import NamedTuple, Protocol

from sweep.points import Finished, Point, Result, check_result

Function = Callable[[Point], Result]


class Failure(NamedTuple):
    """Why a point has no result.

    Args:
        reason: One line: the error, and where it was raised.
        traceback: All of it.
        may_pass: Whether another attempt makes sense.
    """

    reason: str
    traceback: str
    may_pass: bool


def attempt(function: Function, point: Point) -> Finished | Failure:
    """Compute a point; an error becomes a value, which travels from any worker as text.

    Args:
        function: What computes it.
        point: The point.

    Returns:
        The result with its wall time, or the failure; a ValueError is bad input, which another
        attempt does not mend.
    """
    started = time.monotonic()
    try:
        result = check_result(function(point))
    except Exception as error:
        return Failure(_reason(error), traceback.format_exc(), not isinstance(error, ValueError))
    return Finished(result, time.monotonic() - started)


def _reason(error: Exception) -> str:
    (text, *_) = str(error).strip().splitlines() or [""]
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1]
    return f"{said} ({last.filename.rpartition('/')[2]}:{last.lineno}, in {last.name})"


class Workers(Protocol):
    """What computes points: this process, or workers of dask."""

    @property
    def n_running(self) -> int:
        """Points submitted and not yet handed out by `wait`."""

    def has_room(self) -> bool:
        """Whether there is a worker for one more point."""

    def submit(self, point: Point) -> None:
        """Take a point."""

    def wait(self) -> list[tuple[Point, Finished | Failure]]:
        """What has come back, perhaps nothing yet."""

    def warnings(self) -> list[str]:
        """What the user should know about the workers at the end."""


class ThisProcess:
    """Computes one point after the other.

    Args:
        function: What computes a point.
    """

    def __init__(self, function: Function) -> None:
        self._function = function
        self._points: list[Point] = []

    @property
    def n_running(self) -> int:
        """Points taken."""
        return len(self._points)

    def has_room(self) -> bool:
        """Whether no point waits."""
        return not self._points

    def submit(self, point: Point) -> None:
        """Take a point."""
        self._points.append(point)

    def wait(self) -> list[tuple[Point, Finished | Failure]]:
        """Compute what was taken."""
        return [(point, attempt(self._function, point)) for point in self._take()]

    def warnings(self) -> list[str]:
        """Nothing."""
        return []

    def _take(self) -> list[Point]:
        points, self._points = self._points, []
        return points
