"""Exact conversion between the conventions of the scalar field: couplings, field and log Z.

Two actions describe one model if one becomes the other under phi -> s phi. Then
a' = a / s^2, b' = b / s^4, t' = t / s^2 for phi' = s phi, and log Z' = log Z + V log s.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch

from systems.lattices.exact.scalar_action import ScalarAction
from systems.lattices.phi4 import CanonicalPhi4, HoppingPhi4, KineticPhi4, ScalarField


class Conversion(NamedTuple):
    """The same model in another convention.

    Attributes:
        couplings: Of the new convention, by name.
        field_scale: s; the new field is s times the old one.
    """

    couplings: dict[str, float]
    field_scale: float

    def log_partition(self, log_z: float, n_sites: int) -> float:
        """Log Z of the new convention from that of the old one, log Z + V log s."""
        return log_z + n_sites * math.log(self.field_scale)


def scalar_action(
    convention: type[HoppingPhi4 | KineticPhi4 | CanonicalPhi4],
    couplings: Mapping[str, float],
    *,
    n_dims: int,
) -> ScalarAction:
    """Coefficients (a, b, t) of an action given by its couplings.

    Args:
        convention: The class of the target.
        couplings: All its couplings by name.
        n_dims: Dimensions of the lattice.

    Raises:
        ValueError: A coupling is missing or unknown, or b is negative.
    """
    target = _target(convention, n_dims)
    if set(couplings) != set(target.coupling_names):
        raise ValueError(
            f"couplings: expected {', '.join(target.coupling_names)}, got {', '.join(couplings)}"
        )
    values = {
        name: torch.tensor([couplings[name]], dtype=torch.float64) for name in target.coupling_names
    }
    a, b, t = target.coefficients(values)
    return ScalarAction(float(a), float(b), float(t))


def convert(
    couplings: Mapping[str, float],
    source: type[HoppingPhi4 | KineticPhi4 | CanonicalPhi4],
    target: type[HoppingPhi4 | KineticPhi4 | CanonicalPhi4],
    *,
    n_dims: int,
) -> Conversion:
    """Express a model in another convention; kappa of `CanonicalPhi4` becomes 1.

    Args:
        couplings: All couplings of the source by name.
        source: Class of the convention they are in.
        target: Class of the convention wanted.
        n_dims: Dimensions of the lattice.

    Returns:
        The new couplings and the scale of the field.

    Raises:
        ValueError: A coupling is missing or unknown, or the model has no hopping or no field scale
            in the new convention.

    Example:
        >>> found = convert({"kappa": 0.25, "lambda": 0.02}, HoppingPhi4, KineticPhi4, n_dims=2)
        >>> {name: round(value, 6) for name, value in found.couplings.items()}, found.field_scale
        ({'m2': -0.16, 'g': 0.32}, 0.5)
    """
    action = scalar_action(source, couplings, n_dims=n_dims)
    if action.hopping <= 0:
        raise ValueError(f"couplings: expected a hopping coefficient above 0, got {action.hopping}")
    square = _scale_square(action, target)
    a, b, t = action.quadratic / square, action.quartic / square**2, action.hopping / square
    if target is HoppingPhi4:
        found = {"kappa": t / 2, "lambda": b}
    elif target is KineticPhi4:
        found = {"m2": a - 2 * n_dims, "g": b}
    else:
        found = {"m2": 2 * (a - n_dims * t), "lambda": 24 * b, "kappa": t}
    return Conversion(found, math.sqrt(square))


def _scale_square(action: ScalarAction, target: type[ScalarField]) -> float:
    """s^2 such that the action has the form of the target's convention."""
    if target is KineticPhi4:
        return action.hopping / 2
    if target is CanonicalPhi4:
        return action.hopping
    # 1 - 2 b / s^4 = a / s^2
    square = (action.quadratic + math.sqrt(action.quadratic**2 + 8 * action.quartic)) / 2
    if square <= 0:
        raise ValueError(
            f"couplings: no field scale makes this a hopping action; got quadratic coefficient "
            f"{action.quadratic} and quartic {action.quartic}"
        )
    return square


def _target(
    convention: type[HoppingPhi4 | KineticPhi4 | CanonicalPhi4], n_dims: int
) -> HoppingPhi4 | KineticPhi4 | CanonicalPhi4:
    return convention((2,) * n_dims)
