"""OpenMM Systems as batched, differentiable tensor code."""

from systems.molecules.force_field.compiled import CompiledForceField, FiniteGradient
from systems.molecules.force_field.compiler import ForceField, compile_system
from systems.molecules.force_field.expressions import Expression, ExpressionError

__all__ = [
    "CompiledForceField",
    "Expression",
    "ExpressionError",
    "FiniteGradient",
    "ForceField",
    "compile_system",
]
