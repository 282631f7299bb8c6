"""Whole-or-nothing writing of files, and JSON."""

import json
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from boltzgen.errors import CorruptFileError


def write_atomically(path: Path | str, writer: Callable[[Path], None]) -> None:
    """Write a file so that at every moment `path` is the old or the new one, whole.

    `writer` fills a temporary file in the same directory; it is flushed to the disk and renamed
    over `path`. Where anything fails the temporary file is removed and `path` is as it was.

    Args:
        path: The file to create or replace.
        writer: Called with the path of the temporary file, which it creates.

    Raises:
        OSError: The file could not be written, a full disk for instance; names path and cause.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        writer(temporary)
        _flush(temporary)
        os.replace(temporary, path)
    except OSError as error:
        kept = " (the previous file is intact)" if path.exists() else ""
        cause = error.strerror or str(error)
        raise OSError(error.errno, f"cannot write {path}{kept}: {cause}") from error
    finally:
        temporary.unlink(missing_ok=True)
    _flush(path.parent)


def write_json(path: Path | str, value: Mapping[str, Any]) -> None:
    """Write an object as indented JSON, atomically.

    Args:
        path: The file to create or replace.
        value: Numbers, strings, None, lists and mappings; numpy and torch scalars and arrays too.

    Raises:
        ValueError: A number is NaN or infinite, which JSON cannot hold: say None.
        OSError: The file could not be written.
    """
    try:
        text = json.dumps(value, indent=2, allow_nan=False, default=to_plain)
    except ValueError as error:
        raise ValueError(f"value: expected finite numbers or None for {path}, {error}") from error
    write_atomically(path, lambda p: _write_text(p, text + "\n"))


def read_json(path: Path | str) -> dict[str, Any]:
    """Read an object written by `write_json`.

    Args:
        path: The file.

    Returns:
        The object.

    Raises:
        CorruptFileError: The file is not a JSON object.
    """
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise CorruptFileError(f"{path}: not JSON, truncated or damaged ({error})") from error
    if not isinstance(value, dict):
        raise CorruptFileError(f"{path}: expected a JSON object, got {type(value).__name__}")
    return value


def to_plain(value: Any) -> Any:  # noqa: ANN401
    """Turn a numpy or torch scalar or array into numbers and lists, a path into a string."""
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"value: cannot write a {type(value).__name__} as JSON")


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
