"""Metrics as JSON lines: one object a step, appended; a run that was killed can go on."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from boltzgen.errors import CorruptFileError
from boltzgen.storage.files import to_plain, write_atomically


class MetricsLog:
    """An open file of metrics; use it in a `with` block.

    Args:
        path: The file; it is created, or continued at its end. A last line cut off by a kill is
            removed first.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        if self._path.exists():
            _drop_cut_line(self._path)
        self._file = self._path.open("a", encoding="utf-8")

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one object as one line and hand it to the system at once.

        Args:
            record: Numbers, strings, lists, mappings, numpy or torch scalars. NaN and infinities
                are written as null, which is all that JSON has for them.

        Raises:
            OSError: The disk is full; names the file.
        """
        line = json.dumps(_finite(record), allow_nan=False)
        try:
            self._file.write(line + "\n")
            self._file.flush()
        except OSError as error:
            raise OSError(error.errno, f"cannot write {self._path}: {error.strerror}") from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> "MetricsLog":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def read_metrics(path: Path | str) -> list[dict[str, Any]]:
    """Read all records; a last line without its end, cut off by a kill, is left out.

    Args:
        path: The file.

    Returns:
        One dict per line.

    Raises:
        CorruptFileError: A line in the middle is not a JSON object; names its number.
    """
    content = Path(path).read_bytes()
    lines = content[: content.rfind(b"\n") + 1].splitlines()
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
        except ValueError as error:
            raise CorruptFileError(f"{path}: line {number} is not JSON ({error})") from error
        if not isinstance(record, dict):
            raise CorruptFileError(f"{path}: line {number}: expected a JSON object, got {record!r}")
        records.append(record)
    return records


def truncate_metrics(path: Path | str, *, last_step: int, key: str = "step") -> None:
    """Remove the records after a step, so that a resumed run does not write them twice.

    Args:
        path: The file.
        last_step: The last step to keep, that of the checkpoint.
        key: Name of the step in a record; records without it are kept.

    Raises:
        CorruptFileError: A line in the middle is not a JSON object.
        OSError: The file could not be written; the previous one is intact.
    """
    kept = [record for record in read_metrics(path) if record.get(key, last_step) <= last_step]
    text = "".join(json.dumps(record) + "\n" for record in kept)
    write_atomically(path, lambda p: _write_text(p, text))


def _finite(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, Mapping):
        return {str(name): _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    return _finite(to_plain(value))


def _drop_cut_line(path: Path) -> None:
    with path.open("r+b") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
