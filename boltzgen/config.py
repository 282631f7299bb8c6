"""Configuration: TOML files read strictly into frozen dataclasses, and written back.

A field's annotation says what is accepted: `bool`, `int`, `float` (an integer will do), `str`,
`Path`, `Literal[...]`, `tuple[A, ...]`, `tuple[A, B]`, `A | None` and nested frozen dataclasses.
"""

import difflib
import json
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import TypeVar

ConfigT = TypeVar("ConfigT")

Value = bool | int | float | str | list["Value"] | dict[str, "Value"]


def load(path: str | Path, cls: type[ConfigT]) -> ConfigT:
    """Read a TOML file into a dataclass.

    Args:
        path: The file.
        cls: A frozen dataclass.

    Returns:
        An instance of `cls`.

    Raises:
        ValueError: The file is not TOML, or a key is unknown, missing or of the wrong type; the
            message names the file and the key.
    """
    text = Path(path).read_text(encoding="utf-8")
    try:
        mapping = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: not valid TOML: {error}") from error
    try:
        return from_mapping(mapping, cls)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def from_mapping(mapping: Mapping[str, object], cls: type[ConfigT]) -> ConfigT:
    """Build a dataclass from nested mappings, such as JSON or TOML give.

    Args:
        mapping: One entry per field; a nested mapping for each nested dataclass.
        cls: A frozen dataclass.

    Returns:
        An instance of `cls`.

    Raises:
        ValueError: A key is unknown, missing or of the wrong type; the message names it.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Run:
        ...     n_steps: int
        ...     rate: float = 1e-3
        >>> from_mapping({"n_steps": 10}, Run)
        Run(n_steps=10, rate=0.001)
        >>> from_mapping({"n_step": 10}, Run)
        Traceback (most recent call last):
        ValueError: n_step: unknown key; did you mean 'n_steps'?
    """
    return _build(mapping, cls, "")


def to_mapping(config: object) -> dict[str, Value]:
    """Return a dataclass as nested dicts of plain values; fields that are None are left out.

    `from_mapping(to_mapping(config), type(config))` gives `config` back wherever the default of
    a field that may be None is None.
    """
    if not is_dataclass(config) or isinstance(config, type):
        raise ValueError(f"config: expected a dataclass instance, got {config!r}")
    values = {field.name: getattr(config, field.name) for field in fields(config)}
    return {name: _plain(value, name) for name, value in values.items() if value is not None}


def to_toml(config: object) -> str:
    """Return the TOML text that `load` reads back to an equal dataclass."""
    return "\n".join(_toml_lines(to_mapping(config), ""))


def _build(mapping: Mapping[str, object], cls: type[ConfigT], prefix: str) -> ConfigT:
    if not (isinstance(cls, type) and is_dataclass(cls)):
        raise ValueError(f"cls: expected a dataclass, got {cls!r}")
    by_name = {field.name: field for field in fields(cls) if field.init}
    for key in mapping:
        if key not in by_name:
            raise ValueError(f"{prefix}{key}: unknown key{_suggestion(str(key), by_name)}")
    missing = [name for name, field in by_name.items() if name not in mapping and _needed(field)]
    if missing:
        raise ValueError(f"{prefix}{missing[0]}: missing key")
    hints = typing.get_type_hints(cls)
    values = {key: _convert(value, hints[key], prefix + key) for key, value in mapping.items()}
    try:
        return typing.cast(ConfigT, cls(**values))
    except ValueError as error:
        raise ValueError(f"{prefix}{error}") from error


def _needed(field: Field[object]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _suggestion(key: str, known: Mapping[str, object]) -> str:
    nearest = difflib.get_close_matches(key, list(known), n=1)
    return f"; did you mean {nearest[0]!r}?" if nearest else f"; known: {', '.join(known)}"


def _convert(value: object, hint: object, name: str) -> object:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _convert_optional(value, arguments, name)
    if origin is typing.Literal:
        if value not in arguments or type(value) not in {type(a) for a in arguments}:
            raise _mismatch(name, f"one of {', '.join(map(repr, arguments))}", value)
        return value
    if origin is tuple:
        return _convert_tuple(value, arguments, name)
    if isinstance(hint, type) and is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise _mismatch(name, "a table", value)
        return _build(value, hint, f"{name}.")
    return _convert_scalar(value, hint, name)


def _convert_optional(value: object, arguments: tuple[object, ...], name: str) -> object:
    others = [argument for argument in arguments if argument is not type(None)]
    if len(others) != 1 or len(others) == len(arguments):
        raise ValueError(f"{name}: unsupported annotation, a union other than with None")
    return None if value is None else _convert(value, others[0], name)


def _convert_tuple(value: object, arguments: tuple[object, ...], name: str) -> tuple[object, ...]:
    if not isinstance(value, list | tuple):
        raise _mismatch(name, "an array", value)
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        arguments = (arguments[0],) * len(value)
    if len(arguments) != len(value):
        raise _mismatch(name, f"an array of {len(arguments)}", value)
    pairs = zip(value, arguments, strict=True)
    return tuple(_convert(v, hint, f"{name}[{i}]") for i, (v, hint) in enumerate(pairs))


def _convert_scalar(value: object, hint: object, name: str) -> object:
    if hint is Path and isinstance(value, str | Path):
        return Path(value)
    if hint is float and type(value) is int:
        return float(value)
    if hint not in (bool, int, float, str, Path):
        raise ValueError(f"{name}: unsupported annotation {hint}")
    if type(value) is not hint:
        raise _mismatch(name, hint.__name__, value)
    return value


def _mismatch(name: str, expected: str, value: object) -> ValueError:
    return ValueError(f"{name}: expected {expected}, got {value!r} ({type(value).__name__})")


def _plain(value: object, name: str) -> Value:
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(item, name) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return to_mapping(value)
    raise ValueError(f"{name}: cannot be written, a {type(value).__name__}")


def _toml_lines(mapping: Mapping[str, Value], prefix: str) -> list[str]:
    tables = {key: value for key, value in mapping.items() if isinstance(value, dict)}
    lines = [f"{key} = {_toml_value(v)}" for key, v in mapping.items() if key not in tables]
    for key, table in tables.items():
        lines += ["", f"[{prefix}{key}]", *_toml_lines(table, f"{prefix}{key}.")]
    return lines if prefix else [*lines, ""]


def _toml_value(value: Value) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_toml_value, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {_toml_value(v)}' for key, v in value.items())}}}"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
