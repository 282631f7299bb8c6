"""Who may import whom, read from the source. The table is the architecture; see ARCHITECTURE.md."""

from pathlib import Path

import pytest

from tests.sources import ROOT, Import, Source, imported_modules, imports_of, read_sources

PACKAGES = ("boltzgen", "systems")
OUTER = ("scripts", "examples", "tests")

_SYSTEM = {"systems.units", "systems.checks", "systems.thermal", "systems.ledger"}

# unit -> the units of ours that it may import, besides itself and its package's root.
MAY_IMPORT: dict[str, set[str]] = {
    "boltzgen": set(),
    "boltzgen.checks": set(),
    "boltzgen.errors": set(),
    "boltzgen.random": {"boltzgen.checks", "boltzgen.errors"},
    "boltzgen.config": {"boltzgen.checks", "boltzgen.errors"},
    "boltzgen.base": {"boltzgen.checks"},
    "boltzgen.protocols": {"boltzgen.base"},
    "boltzgen.flows": {"boltzgen.base", "boltzgen.checks", "boltzgen.errors", "boltzgen.random"},
    "boltzgen.objectives": {
        "boltzgen.base",
        "boltzgen.protocols",
        "boltzgen.checks",
        "boltzgen.errors",
        "boltzgen.random",
    },
    "boltzgen.training": {
        "boltzgen.estimators",
        "boltzgen.storage",
        "boltzgen.base",
        "boltzgen.protocols",
        "boltzgen.checks",
        "boltzgen.errors",
    },
    "boltzgen.kernels": {
        "boltzgen.base",
        "boltzgen.protocols",
        "boltzgen.checks",
        "boltzgen.errors",
        "boltzgen.random",
    },
    "boltzgen.estimators": {"boltzgen.checks", "boltzgen.errors"},
    "boltzgen.storage": {"boltzgen.errors"},
    "boltzgen.plots": set(),
    "boltzgen.report": {"boltzgen.checks", "boltzgen.errors"},
    "systems": set(),
    "systems.units": set(),
    "systems.checks": set(),
    "systems.cache": set(),
    "systems.thermal": {"systems.units", "systems.checks"},
    "systems.capped": {"systems.checks", "systems.thermal"},
    "systems.ledger": {"systems.units", "systems.checks"},
    "systems.counting": {"systems.ledger"},
    "systems.toys": _SYSTEM,
    "systems.lattices": _SYSTEM,
    "systems.particles": _SYSTEM,
    "systems.posteriors": _SYSTEM | {"systems.toys"},
    "systems.molecules": _SYSTEM | {"systems.cache"},
    "systems.charts": _SYSTEM,
}

# foreign package -> the units that may import it (scripts, examples and tests always may).
ONLY_IN: dict[str, set[str]] = {
    "openmm": {"systems.molecules"},
    "matplotlib": {"boltzgen.plots"},
    "numba": {"systems.lattices"},
    "rich": set(),
    "tqdm": set(),
    "argparse": set(),
    "random": set(),
    "torch.distributions": set(),
    # Estimators take arrays, and the stream of their bootstrap as an argument, from NumPy.
    "numpy.random": {"boltzgen.estimators"},
    "pickle": set(),
}

# Packages of the optional extras: the only ones that may be imported inside a function.
OPTIONAL = {
    "dask", "distributed", "nflows", "zuko", "normflows", "pandas",
    "peapods", "mcising", "blackjax", "jax", "torchdiffeq", "sklearn", "arviz",
}  # fmt: skip


def unit_of(module: str) -> str:
    return ".".join(module.split(".")[:2])


def problems_of_layers(sources: list[Source]) -> list[str]:
    known = frozenset(source.module for source in sources)
    found = []
    for source in sources:
        if unit_of(source.module) not in MAY_IMPORT:
            found.append(f"{source.module}: not in the table of layers")
            continue
        for statement in imports_of(source):
            for target in sorted(imported_modules(statement, known)):
                problem = _layer_problem(source.module, target)
                if problem:
                    found.append(f"{source.module}:{statement.line}: {problem}")
    return found


def _layer_problem(module: str, target: str) -> str | None:
    unit, package = unit_of(module), module.split(".")[0]
    target_package = target.split(".")[0]
    if target_package in OUTER:
        return f"a package imports {target}"
    if target_package not in PACKAGES:
        return _foreign_problem(unit, target)
    if target_package != package:
        return f"{package} imports {target}"
    if unit_of(target) in MAY_IMPORT[unit] | {unit, package}:
        return None
    return f"{unit} may not import {unit_of(target)}"


def _foreign_problem(unit: str, target: str) -> str | None:
    for foreign, units in ONLY_IN.items():
        if (target == foreign or target.startswith(f"{foreign}.")) and unit not in units:
            return f"{unit} may not import {foreign}"
    return None


def problems_of_form(sources: list[Source]) -> list[str]:
    found = []
    for source in sources:
        for statement in imports_of(source):
            problem = _form_problem(statement)
            if problem:
                found.append(f"{source.path.name}:{statement.line}: {problem}")
    return found


def _form_problem(statement: Import) -> str | None:
    if statement.level:
        return "relative import"
    if "*" in statement.names:
        return f"from {statement.module} import *"
    if statement.in_function and statement.module.split(".")[0] not in OPTIONAL:
        return f"import of {statement.module} inside a function"
    return None


def import_graph(sources: list[Source]) -> dict[str, set[str]]:
    known = frozenset(source.module for source in sources)
    return {
        source.module: {
            target
            for statement in imports_of(source)
            for target in imported_modules(statement, known) & known
        }
        for source in sources
    }


def find_cycle(graph: dict[str, set[str]]) -> list[str]:
    """Return one cycle, its first module repeated at the end; empty where there is none."""
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        for target in sorted(graph[module]):
            cycle = visit(target, [*path, module])
            if cycle:
                return cycle
        done.add(module)
        return []

    for module in sorted(graph):
        cycle = visit(module, [])
        if cycle:
            return cycle
    return []


def test_every_package_imports_only_what_its_layer_allows():
    assert problems_of_layers(read_sources(ROOT, PACKAGES)) == []


def test_imports_are_absolute_named_and_at_the_top():
    assert problems_of_form(read_sources(ROOT, (*PACKAGES, "scripts", "examples"))) == []


def test_there_is_no_import_cycle():
    assert find_cycle(import_graph(read_sources(ROOT, PACKAGES))) == []


def test_every_folder_of_modules_is_a_package():
    folders = {path.parent for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    missing = sorted(str(f) for f in folders if not (f / "__init__.py").exists())
    assert missing == []


def plant(root: Path, files: dict[str, str]) -> list[Source]:
    for name, text in files.items():
        path = root / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return read_sources(root, PACKAGES)


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("boltzgen/flows/a", "from systems.toys import DoubleWell2D", "boltzgen imports systems"),
        ("systems/toys/a", "import boltzgen.checks", "systems imports boltzgen.checks"),
        ("boltzgen/flows/a", "import boltzgen.objectives", "may not import boltzgen.objectives"),
        ("boltzgen/base", "from boltzgen import random", None),
        ("boltzgen/base", "from boltzgen import errors", "may not import boltzgen.errors"),
        ("boltzgen/storage/a", "import openmm.app", "may not import openmm"),
        ("systems/charts/a", "import openmm", "may not import openmm"),
        ("systems/molecules/a", "import openmm.unit", None),
        ("boltzgen/report/a", "from matplotlib import pyplot", "may not import matplotlib"),
        ("boltzgen/plots/a", "from matplotlib.axes import Axes", None),
        ("boltzgen/kernels/a", "def f():\n    import scripts.sample", "imports scripts.sample"),
        ("boltzgen/novelty", "x = 1", "not in the table"),
    ],
)
def test_a_planted_layer_violation_is_found(tmp_path, name, text, complaint):
    problems = problems_of_layers(plant(tmp_path, {"boltzgen/errors": "", name: text}))
    assert [complaint in p for p in problems] == ([True] if complaint else [])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("from . import checks", "relative import"),
        ("from boltzgen.checks import *", "import *"),
        ("def f():\n    if 1:\n        import math", "inside a function"),
        ("class A:\n    def f(self):\n        from math import pi", "inside a function"),
        ("def f():\n    import zuko", None),
        ("try:\n    import math\nexcept ImportError:\n    pass", None),
    ],
)
def test_a_planted_import_of_bad_form_is_found(tmp_path, text, complaint):
    problems = problems_of_form(plant(tmp_path, {"boltzgen/flows/a": text}))
    assert [complaint in p for p in problems] == ([True] if complaint else [])


def test_a_planted_cycle_is_found(tmp_path):
    files = {
        "boltzgen/__init__": "",
        "boltzgen/flows/__init__": "from boltzgen.flows.a import x",
        "boltzgen/flows/a": "from boltzgen.flows import b",
        "boltzgen/flows/b": "from boltzgen.flows import y",
    }
    cycle = find_cycle(import_graph(plant(tmp_path, files)))
    assert cycle[0] == cycle[-1]
    assert set(cycle) == {"boltzgen.flows", "boltzgen.flows.a", "boltzgen.flows.b"}
