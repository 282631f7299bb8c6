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
from collections.abc import Callable, Mapping, Sequence
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

    A definition is known to what stands before it: a name is resolved by the next definition to the
    right that has it, and is a variable if there is none. So "k*r; k=2*k" doubles the k that the
    caller gives.

    Args:
        text: In OpenMM's language.
        functions: Custom functions by name, called with tensors; they come before those of the
            language.

    Raises:
        ExpressionError: The text cannot be read, or calls a function that nobody defines.
    """

    def __init__(self, text: str, functions: Mapping[str, Function] | None = None) -> None:
        self.text = text
        self._functions = dict(functions or {})
        parts = [part.strip() for part in text.split(";") if part.strip()]
        if not parts:
            raise ExpressionError("text: expected an expression, got an empty one")
        names, self._parts = [""], [_parse(parts[0], text)]
        for part in parts[1:]:
            name, equals, value = part.partition("=")
            name = name.strip()
            if not equals or not _WORD.fullmatch(name):
                raise ExpressionError(f"text: expected 'name = value', got {part!r} in {text!r}")
            names.append(name)
            self._parts.append(_parse(value.strip(), text))
        self._names = tuple(names)
        for definition in self._parts:
            self._check(definition)
        self.variables = frozenset(self._free(0, set()))
        """Names that a caller has to give a value."""

    def _free(self, part: int, done: set[int]) -> set[str]:
        """Variables that a part needs, those of the definitions it uses included."""
        done.add(part)
        found: set[str] = set()
        tree = self._parts[part].tree
        called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and id(node) not in called:
                name = node.id.removeprefix(_PREFIX)
                source = self.defined(name, part)
                if source is None:
                    found.add(name)
                elif source not in done:
                    found |= self._free(source, done)
        return found

    def defined(self, name: str, part: int) -> int | None:
        """Which part defines a name that stands in `part`; None if it is a variable."""
        later = range(part + 1, len(self._names))
        return next((k for k in later if self._names[k] == name), None)

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
        evaluation = _Evaluation(self, values, like)
        return evaluation.tensor(evaluation.part(0))

    def tree(self, part: int) -> ast.expr:
        """Syntax tree of a part: 0 is the expression, the others its definitions."""
        return self._parts[part].tree

    def function(self, name: str) -> Function | None:
        """A custom function, or None."""
        return self._functions.get(name)

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

    def __init__(self, expression: Expression, values: Mapping[str, Value], like: Tensor) -> None:
        self._expression, self._values, self._like = expression, values, like
        self._known: dict[int, Value] = {}

    def tensor(self, value: Value) -> Tensor:
        """Make a tensor of a number."""
        return value if isinstance(value, Tensor) else self._like.new_tensor(value)

    def part(self, part: int) -> Value:
        """Value of the expression (0) or of one of its definitions."""
        if part not in self._known:
            self._known[part] = self._value(self._expression.tree(part), part)
        return self._known[part]

    def _value(self, node: ast.expr, part: int) -> Value:
        if isinstance(node, ast.Constant):
            return float(node.value)  # type: ignore[arg-type]
        if isinstance(node, ast.Name):
            name = node.id.removeprefix(_PREFIX)
            source = self._expression.defined(name, part)
            return self._values[name] if source is None else self.part(source)
        if isinstance(node, ast.UnaryOp):
            return -self._value(node.operand, part)
        if isinstance(node, ast.BinOp):
            return self._binary(node, part)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            arguments = [self._value(argument, part) for argument in node.args]
            return self._call(node.func.id.removeprefix(_PREFIX), arguments)
        raise ExpressionError(f"text: cannot evaluate {ast.dump(node)}")

    def _binary(self, node: ast.BinOp, part: int) -> Value:
        left, right = self._value(node.left, part), self._value(node.right, part)
        if not isinstance(left, Tensor) and not isinstance(right, Tensor):
            # Through a tensor, so that 1/0 and (-1)^0.5 are what they are in OpenMM.
            left = torch.tensor(left, dtype=torch.float64)
            return float(_OPERATORS[type(node.op)](left, right))
        return _OPERATORS[type(node.op)](left, right)

    def _call(self, name: str, arguments: Sequence[Value]) -> Value:
        custom = self._expression.function(name)
        if custom is not None:
            return custom(*(self.tensor(argument) for argument in arguments))
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
