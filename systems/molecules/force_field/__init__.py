"""OpenMM Systems as batched, differentiable tensor code."""

from systems.molecules.force_field.compiler import ForceField, compile_system
from systems.molecules.force_field.expressions import Expression, ExpressionError

__all__ = ["Expression", "ExpressionError", "ForceField", "compile_system"]
