"""Targets with several named couplings, any of which may be held fixed; the others are controls."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from systems.checks import check_event
from systems.lattices.geometry import check_lattice


class CoupledTarget(ABC):
    """A family p(x | c) ~ exp(-S(x; couplings)) on a periodic lattice.

    Subclasses name their couplings and write `_energy_and_slopes` and `_check_couplings`.

    Args:
        shape: Lengths of the lattice, one to three.
        coupling_names: All couplings, in order.
        fixed: Values of those that are not controls; the controls are the rest, in order.

    Raises:
        ValueError: The lattice is no lattice, or `fixed` names a coupling that does not exist or
            a value that is not finite.
    """

    def __init__(
        self,
        shape: Sequence[int],
        coupling_names: tuple[str, ...],
        fixed: Mapping[str, float] | None = None,
    ) -> None:
        self.event_shape = check_lattice(shape)
        self.n_dims, self.n_sites = len(self.event_shape), math.prod(self.event_shape)
        self.coupling_names = coupling_names
        self.fixed = {name: float(value) for name, value in (fixed or {}).items()}
        unknown = set(self.fixed) - set(coupling_names)
        if unknown or not all(math.isfinite(value) for value in self.fixed.values()):
            raise ValueError(
                f"fixed: expected finite values of {', '.join(coupling_names)}, got {fixed}"
            )
        self.control_names = tuple(name for name in coupling_names if name not in self.fixed)

    def couplings(self, c: Tensor | float, like: Tensor) -> dict[str, Tensor]:
        """All couplings by name, each (B,), from the controls.

        Args:
            c: Controls, (B, C); a number or (B,) where C = 1.
            like: Configurations, whose number, dtype and device the couplings take.

        Raises:
            ValueError: The shape is wrong, or the action has no minimum at these couplings.
        """
        n, n_controls = len(like), len(self.control_names)
        c = torch.as_tensor(c, dtype=like.dtype, device=like.device)
        if n_controls == 1 and c.dim() < 2:
            c = c.expand(n)[:, None] if c.dim() == 0 else c[:, None]
        if tuple(c.shape) != (n, n_controls):
            raise ValueError(
                f"c: expected shape ({n}, {n_controls}) for ({', '.join(self.control_names)}), "
                f"got {tuple(c.shape)}"
            )
        found = {name: c[:, i] for i, name in enumerate(self.control_names)}
        found |= {name: c.new_full((n,), value) for name, value in self.fixed.items()}
        ordered = {name: found[name] for name in self.coupling_names}
        self._check(ordered)
        return ordered

    def check_couplings(self, couplings: Mapping[str, float]) -> None:
        """See that the action is bounded below at these couplings.

        Raises:
            ValueError: It is not, or a coupling is missing, unknown or not finite.
        """
        if set(couplings) != set(self.coupling_names):
            raise ValueError(
                f"couplings: expected {', '.join(self.coupling_names)}, got {', '.join(couplings)}"
            )
        self._check(
            {n: torch.tensor([couplings[n]], dtype=torch.float64) for n in self.coupling_names}
        )

    def _check(self, couplings: Mapping[str, Tensor]) -> None:
        for name, value in couplings.items():
            require(name, value.isfinite(), "a finite number", value)
        self._check_couplings(couplings)

    def energy(self, x: Tensor, c: Tensor | float) -> Tensor:
        """Action: configurations (B, *shape) and controls (B, C) -> (B,), dimensionless.

        Raises:
            ValueError: A shape is wrong, or the action has no minimum at these couplings.
        """
        check_event("x", x, self.event_shape)
        return self._energy_and_slopes(x, self.couplings(c, x))[0]

    def denergy_dc(self, x: Tensor, c: Tensor | float) -> Tensor:
        """Derivative of the action in each control, (B, C)."""
        return self.energy_and_denergy_dc(x, c)[1]

    def energy_and_denergy_dc(self, x: Tensor, c: Tensor | float) -> tuple[Tensor, Tensor]:
        """Action (B,) and its derivatives (B, C) from one evaluation."""
        check_event("x", x, self.event_shape)
        energy, slopes = self._energy_and_slopes(x, self.couplings(c, x))
        columns = [slopes[name] for name in self.control_names]
        return energy, torch.stack(columns, 1) if columns else x.new_zeros(len(x), 0)

    def denergy_dT(self, x: Tensor, T: Tensor | float) -> Tensor:
        """Derivative in the temperature, (B,), where that is the only control.

        Raises:
            ValueError: The temperature is not the only control.
        """
        if self.control_names != ("T",):
            raise ValueError(f"T: expected the only control, the controls are {self.control_names}")
        return self.denergy_dc(x, T)[:, 0]

    @abstractmethod
    def _energy_and_slopes(
        self, x: Tensor, couplings: Mapping[str, Tensor]
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Action (B,) and its derivative (B,) in every coupling."""

    @abstractmethod
    def _check_couplings(self, couplings: Mapping[str, Tensor]) -> None:
        """Raise ValueError where the action is not bounded below or a coupling has no meaning."""


def require(name: str, allowed: Tensor, expected: str, value: Tensor) -> None:
    """Raise ValueError naming the first coupling (B,) that is not allowed."""
    if not bool(allowed.all()):
        raise ValueError(f"{name}: expected {expected}, got {value[~allowed][0].item():g}")
