"""Limits on size and form, read from the source. Raising one needs a reason in the change."""

import ast
from collections.abc import Iterator

import pytest

from tests.sources import ROOT, Source, read_sources

MAX_FILE = 400
MAX_BODY = 40
MAX_BODY_OF_TEST = 60
MAX_ARGUMENTS = 6
MAX_ARGUMENTS_OF_CONSTRUCTOR = 8

PACKAGES = ("boltzgen", "systems")
PROGRAMS = ("scripts", "examples")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions_of(source: Source) -> Iterator[tuple[Function, bool]]:
    """Every function with whether it is a method."""
    for node in ast.walk(source.tree):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, Function):
                yield child, isinstance(node, ast.ClassDef)


def body_length(function: Function) -> int:
    """Lines from the first statement after the docstring to the last."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def n_arguments(function: Function, *, is_method: bool) -> int:
    """Arguments of all kinds, without self or cls."""
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args]
    static = any(
        isinstance(d, ast.Name) and d.id == "staticmethod" for d in function.decorator_list
    )
    count = len(named) + len(arguments.kwonlyargs) - (is_method and not static)
    return count + (arguments.vararg is not None) + (arguments.kwarg is not None)


def has_positional_flag(function: Function) -> bool:
    """Whether a True or False default can be passed by position."""
    return any(
        isinstance(d, ast.Constant) and isinstance(d.value, bool) for d in function.args.defaults
    )


def problems_of_size(sources: list[Source], *, max_body: int) -> list[str]:
    found = []
    for source in sources:
        n_lines = len(source.text.splitlines())
        if n_lines > MAX_FILE:
            found.append(f"{source.path.name}: {n_lines} lines, at most {MAX_FILE}")
        for function, _ in functions_of(source):
            length = body_length(function)
            if length > max_body:
                found.append(
                    f"{source.path.name}:{function.lineno}: body of {function.name} has "
                    f"{length} lines, at most {max_body}"
                )
    return found


def problems_of_signature(sources: list[Source]) -> list[str]:
    found = []
    for source in sources:
        for function, is_method in functions_of(source):
            where = f"{source.path.name}:{function.lineno}: {function.name}"
            is_constructor = function.name in ("__init__", "__new__")
            limit = MAX_ARGUMENTS_OF_CONSTRUCTOR if is_constructor else MAX_ARGUMENTS
            count = n_arguments(function, is_method=is_method)
            if count > limit:
                found.append(f"{where} takes {count} arguments, at most {limit}")
            if has_positional_flag(function):
                found.append(f"{where} has a True or False default that can go by position")
            if function.args.kwarg is not None:
                found.append(f"{where} takes **{function.args.kwarg.arg}")
    return found


def problems_of_statement(sources: list[Source], *, in_program: bool) -> list[str]:
    found = []
    for source in sources:
        for node in ast.walk(source.tree):
            problem = _statement_problem(node, in_program=in_program)
            if problem:
                found.append(f"{source.path.name}:{node.lineno}: {problem}")
    return found


def _statement_problem(node: ast.AST, *, in_program: bool) -> str | None:
    if isinstance(node, ast.Assert):
        return "assert"
    if isinstance(node, ast.Global):
        return "global statement"
    if isinstance(node, ast.ExceptHandler) and node.type is None:
        return "bare except"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.func.id == "print" and not in_program:
            return "print"
    if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("np.random", "numpy.random"):
        if not (in_program and node.attr == "default_rng"):
            return "numpy random; draw from a generator that is passed in"
    return None


def test_files_and_bodies_stay_within_their_limits():
    assert problems_of_size(read_sources(ROOT, (*PACKAGES, *PROGRAMS)), max_body=MAX_BODY) == []
    assert problems_of_size(read_sources(ROOT, ("tests",)), max_body=MAX_BODY_OF_TEST) == []


def test_signatures_stay_within_their_limits():
    assert problems_of_signature(read_sources(ROOT, (*PACKAGES, *PROGRAMS))) == []


def test_forbidden_statements_are_absent():
    assert problems_of_statement(read_sources(ROOT, PACKAGES), in_program=False) == []
    assert problems_of_statement(read_sources(ROOT, PROGRAMS), in_program=True) == []


def plant(root, text: str) -> list[Source]:
    (root / "boltzgen").mkdir()
    (root / "boltzgen" / "planted.py").write_text(text)
    return read_sources(root, PACKAGES)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("x = 1\n" * 401, "401 lines"),
        ("x = 1\n" * 400, None),
        ("def f():\n" + "    x = 1\n" * 41, "body of f has 41"),
        ("def f():\n" + '    """Doc.\n\n    More.\n    """\n' + "    x = 1\n" * 40, None),
        ("class A:\n    async def f(self):\n" + "        x = 1\n" * 41, "body of f has 41"),
    ],
)
def test_a_planted_excess_of_size_is_found(tmp_path, text, complaint):
    problems = problems_of_size(plant(tmp_path, text), max_body=MAX_BODY)
    assert [complaint in p for p in problems] == ([True] if complaint else [])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("def f(a, b, c, d, e, f, g): ...", "takes 7 arguments"),
        ("def f(a, b, c, *, d, e, f, g): ...", "takes 7 arguments"),
        ("def f(a, b, c, d, e, *, f): ...", None),
        ("class A:\n    def f(self, a, b, c, d, e, f): ...", None),
        ("class A:\n    @staticmethod\n    def f(a, b, c, d, e, f, g): ...", "takes 7"),
        ("class A:\n    def __init__(self, a, b, c, d, e, f, g, h): ...", None),
        ("class A:\n    def __init__(self, a, b, c, d, e, f, g, h, i): ...", "takes 9"),
        ("def f(a=True): ...", "by position"),
        ("def f(*, a=True): ...", None),
        ("def f(**options): ...", "**options"),
    ],
)
def test_a_planted_bad_signature_is_found(tmp_path, text, complaint):
    problems = problems_of_signature(plant(tmp_path, text))
    assert [complaint in p for p in problems] == ([True] if complaint else [])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("print(1)", "print"),
        ("assert True", "assert"),
        ("def f():\n    global x", "global"),
        ("try:\n    pass\nexcept:\n    pass", "bare except"),
        ("x = np.random.default_rng(0)", "numpy random"),
        ("x = numpy.random.rand(3)", "numpy random"),
        ("x = '''\n>>> print(1)\n'''", None),
    ],
)
def test_a_planted_forbidden_statement_is_found(tmp_path, text, complaint):
    problems = problems_of_statement(plant(tmp_path, text), in_program=False)
    assert [complaint in p for p in problems] == ([True] if complaint else [])


def test_programs_may_print_and_make_streams(tmp_path):
    text = "print(1)\nx = np.random.default_rng(0)"
    assert problems_of_statement(plant(tmp_path, text), in_program=True) == []
