"""OpenMM's expression language: parsed once, evaluated on tensors.

An expression is followed by definitions of intermediate values, "k*(r-r0)^2; r0=0.5*(a+b)". Its
grammar is that of Python with ^ for the power (OpenMM binds unary minus below ^ and above *, as
Python does), so that Python's own parser reads it; only its tree is used, nothing is executed.

References:
    OpenMM User Guide, section "Writing Custom Expressions"; Lepton, libraries/lepton of OpenMM.
"""

import ast
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Value = Tensor | float
Function = Callable[..., Value]

_WORD = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
_PREFIX = "v_"  # so that names such as "lambda" are no keywords of Python


class ExpressionError(ValueError):
    """An expression cannot be read."""


def _step(x: Tensor) -> Tensor:
    return (x >= 0).to(x.dtype)


def _delta(x: Tensor) -> Tensor:
    return (x == 0).to(x.dtype)


def _select(condition: Tensor, if_true: Tensor, if_false: Tensor) -> Tensor:
    return torch.where(condition != 0, if_true, if_false)


_FUNCTIONS: dict[str, tuple[int, Callable[..., Tensor]]] = {
    "sqrt": (1, torch.sqrt),
    "exp": (1, torch.exp),
    "log": (1, torch.log),
    "sin": (1, torch.sin),
    "cos": (1, torch.cos),
    "sec": (1, lambda x: 1 / torch.cos(x)),
    "csc": (1, lambda x: 1 / torch.sin(x)),
    "tan": (1, torch.tan),
    "cot": (1, lambda x: 1 / torch.tan(x)),
    "asin": (1, torch.asin),
    "acos": (1, torch.acos),
    "atan": (1, torch.atan),
    "atan2": (2, torch.atan2),
    "sinh": (1, torch.sinh),
    "cosh": (1, torch.cosh),
    "tanh": (1, torch.tanh),
    "erf": (1, torch.erf),
    "erfc": (1, torch.erfc),
    "step": (1, _step),
    "delta": (1, _delta),
    "square": (1, torch.square),
    "cube": (1, lambda x: x * x * x),
    "recip": (1, torch.reciprocal),
    "min": (2, torch.minimum),
    "max": (2, torch.maximum),
    "abs": (1, torch.abs),
    "floor": (1, torch.floor),
    "ceil": (1, torch.ceil),
    "select": (3, _select),
}


@dataclass(frozen=True)
class _Definition:
    """One part of an expression: its text, for messages, and its tree."""

    text: str
    tree: ast.expr


class Expression:
    """One expression with its definitions.

    Args:
        text: In OpenMM's language.
        functions: Custom functions by name; they come before those of the language.

    Raises:
        ExpressionError: The text cannot be read, or calls a function that nobody defines.
    """

    def __init__(self, text: str, functions: Mapping[str, Function] | None = None) -> None:
        self.text = text
        self._functions = dict(functions or {})
        parts = [part.strip() for part in text.split(";") if part.strip()]
        if not parts:
            raise ExpressionError("text: expected an expression, got an empty one")
        self._main = _parse(parts[0], text)
        self._definitions: dict[str, _Definition] = {}
        for part in parts[1:]:
            name, equals, value = part.partition("=")
            name = name.strip()
            if not equals or not _WORD.fullmatch(name) or name in self._definitions:
                raise ExpressionError(
                    f"text: expected a new 'name = value', got {part!r} in {text!r}"
                )
            self._definitions[name] = _parse(value.strip(), text)
        for definition in self._all():
            self._check(definition)

    def _all(self) -> Iterator[_Definition]:
        yield self._main
        yield from self._definitions.values()

    @property
    def variables(self) -> frozenset[str]:
        """Names that a caller has to give a value."""
        found: set[str] = set()
        for definition in self._all():
            called = {id(n.func) for n in ast.walk(definition.tree) if isinstance(n, ast.Call)}
            for node in ast.walk(definition.tree):
                if isinstance(node, ast.Name) and id(node) not in called:
                    found.add(node.id.removeprefix(_PREFIX))
        return frozenset(found - set(self._definitions))

    def __call__(self, values: Mapping[str, Value], *, like: Tensor) -> Tensor:
        """Evaluate.

        Args:
            values: Values of all `variables`, of shapes that broadcast.
            like: Gives dtype and device of constants.

        Returns:
            A tensor of the common shape.

        Raises:
            ExpressionError: A variable has no value.
        """
        missing = self.variables - values.keys()
        if missing:
            raise ExpressionError(
                f"values: expected {sorted(missing)} too, got {sorted(values)} for {self.text!r}"
            )
        evaluation = _Evaluation(self._definitions, self._functions, values, like)
        return evaluation.tensor(evaluation.value(self._main.tree))

    def _check(self, definition: _Definition) -> None:
        for node in ast.walk(definition.tree):
            if not isinstance(node, _NODES):
                raise ExpressionError(
                    f"text: {type(node).__name__} is not part of OpenMM's language: "
                    f"{definition.text!r}"
                )
            if isinstance(node, ast.Call):
                self._check_call(node, definition)

    def _check_call(self, node: ast.Call, definition: _Definition) -> None:
        if not isinstance(node.func, ast.Name) or node.keywords:
            raise ExpressionError(f"text: expected name(arguments) in {definition.text!r}")
        name = node.func.id.removeprefix(_PREFIX)
        if name in self._functions:
            return
        if name not in _FUNCTIONS:
            raise ExpressionError(
                f"text: no function {name!r} is defined, in {definition.text!r}; known are "
                f"{', '.join(sorted([*_FUNCTIONS, *self._functions]))}"
            )
        expected = _FUNCTIONS[name][0]
        if len(node.args) != expected:
            raise ExpressionError(
                f"text: {name} takes {expected} arguments, got {len(node.args)} in "
                f"{definition.text!r}"
            )


_OPERATORS: dict[type[ast.operator], Callable[[Value, Value], Value]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Pow: lambda a, b: a**b,
}
_NODES = (
    ast.Name, ast.Load, ast.Constant, ast.Call, ast.BinOp, ast.UnaryOp, ast.USub,
    *_OPERATORS,
)  # fmt: skip


class _Evaluation:
    """One evaluation: definitions are computed when they are first needed, and once."""

    def __init__(
        self,
        definitions: Mapping[str, _Definition],
        functions: Mapping[str, Function],
        values: Mapping[str, Value],
        like: Tensor,
    ) -> None:
        self._definitions, self._functions = definitions, functions
        self._known: dict[str, Value] = {
            name: value for name, value in values.items() if name not in definitions
        }
        self._open: list[str] = []
        self._like = like

    def tensor(self, value: Value) -> Tensor:
        """Make a tensor of a number."""
        return value if isinstance(value, Tensor) else self._like.new_tensor(value)

    def value(self, node: ast.expr) -> Value:
        if isinstance(node, ast.Constant):
            return float(node.value)  # type: ignore[arg-type]
        if isinstance(node, ast.Name):
            return self._named(node.id.removeprefix(_PREFIX))
        if isinstance(node, ast.UnaryOp):
            return -self.value(node.operand)
        if isinstance(node, ast.BinOp):
            return self._binary(node)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return self._call(node.func.id.removeprefix(_PREFIX), node.args)
        raise ExpressionError(f"text: cannot evaluate {ast.dump(node)}")

    def _named(self, name: str) -> Value:
        if name not in self._known:
            if name in self._open:
                raise ExpressionError(f"text: {name!r} is defined by itself")
            self._open.append(name)
            self._known[name] = self.value(self._definitions[name].tree)
            self._open.pop()
        return self._known[name]

    def _binary(self, node: ast.BinOp) -> Value:
        left, right = self.value(node.left), self.value(node.right)
        if not isinstance(left, Tensor) and not isinstance(right, Tensor):
            # Through a tensor, so that 1/0 and (-1)^0.5 are what they are in OpenMM.
            left = torch.tensor(left, dtype=torch.float64)
            return float(_OPERATORS[type(node.op)](left, right))
        return _OPERATORS[type(node.op)](left, right)

    def _call(self, name: str, nodes: Sequence[ast.expr]) -> Value:
        arguments = [self.value(node) for node in nodes]
        if name in self._functions:
            return self._functions[name](*arguments)
        operation = _FUNCTIONS[name][1]
        if any(isinstance(argument, Tensor) for argument in arguments):
            return operation(*(self.tensor(argument) for argument in arguments))
        return float(operation(*(torch.tensor(a, dtype=torch.float64) for a in arguments)))


def _parse(part: str, text: str) -> _Definition:
    source = _WORD.sub(lambda found: _PREFIX + found[0], part).replace("^", "**")
    source = re.sub(r"(?<![\w.])0+(?=\d)", "", source)  # Python refuses 012
    try:
        tree = ast.parse(" ".join(source.split()), mode="eval").body
    except SyntaxError as error:
        raise ExpressionError(f"text: cannot read {part!r} in {text!r}: {error.msg}") from error
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and not _is_number(node.value):
            raise ExpressionError(f"text: expected numbers, got {node.value!r} in {text!r}")
    return _Definition(part, tree)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
