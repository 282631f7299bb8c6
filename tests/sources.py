"""Read the project's source as text and syntax trees, without importing it."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Source:
    """One file: its dotted module name, its text and its syntax tree."""

    module: str
    path: Path
    text: str
    tree: ast.Module

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"


@dataclass(frozen=True)
class Import:
    """One import statement's target, as written, and whether it stands inside a function."""

    module: str
    names: tuple[str, ...]
    line: int
    level: int
    in_function: bool


def read_sources(root: Path, folders: tuple[str, ...]) -> list[Source]:
    """Every Python file below root/folder for each of the folders, in order of its name."""
    paths = [path for folder in folders for path in sorted((root / folder).rglob("*.py"))]
    return [_read(root, path) for path in paths]


def _read(root: Path, path: Path) -> Source:
    parts = path.relative_to(root).with_suffix("").parts
    if parts[-1] == "__init__":
        parts = parts[:-1]
    text = path.read_text()
    return Source(".".join(parts), path, text, ast.parse(text, filename=str(path)))


def imports_of(source: Source) -> Iterator[Import]:
    """Every import of a file, at whatever depth it stands."""
    yield from _imports(source.tree, in_function=False)


def _imports(node: ast.AST, *, in_function: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, (), child.lineno, 0, in_function)
        elif isinstance(child, ast.ImportFrom):
            names = tuple(alias.name for alias in child.names)
            yield Import(child.module or "", names, child.lineno, child.level, in_function)
        else:
            inside = in_function or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from _imports(child, in_function=inside)


def imported_modules(statement: Import, known: frozenset[str]) -> set[str]:
    """The modules a statement loads: `from a import b` loads a.b where that is a module."""
    found = {f"{statement.module}.{name}" for name in statement.names} & known
    return found or {statement.module}
