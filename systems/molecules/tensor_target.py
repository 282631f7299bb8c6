"""A molecule as a target in tensor code: batched, on any device, differentiable twice and more."""

import torch
from torch import Tensor

from systems.checks import check_event
from systems.ledger import EnergyLedger
from systems.molecules.definition import MolecularSystem
from systems.molecules.force_field import CompiledForceField, FiniteGradient, compile_system
from systems.thermal import ThermalTarget
from systems.units import GAS_CONSTANT

_N_PAIRS = 2**18


class TensorTarget(ThermalTarget):
    """p(x | T) ~ exp(-U(x) / RT) over all Cartesian coordinates of a molecule, without OpenMM.

    The force field is translated once (`force_field.compile_system`); U is in kJ/mol, x in nm, T
    in K, and everything is computed in the dtype and on the device of x. U is +inf, with zero
    force, where it or x is not finite; where only a force is not finite, it is zero. Derivatives of
    any order come from autograd.

    In float32 a difference of energies is good to about 1e-3 kT at 300 K for small molecules at
    thermal geometries; the sum of large terms that cancel (a distorted or charged molecule, more
    than about a hundred atoms) needs float64.

    With `system.constraints` this is the energy as a function of all coordinates, although there
    is no density in the constrained bonds: use a chart that freezes exactly these.

    Args:
        system: The molecule.
        compiled: Whether to compile energies and forces (`CompiledForceField`): many times faster,
            after some 10 to 30 seconds for the first batch of each kind. Derivatives from the
            second on are evaluated as they are without it.
        chunk: Configurations evaluated together where nothing is compiled; by default as many as
            make lists of pairs of about 1 MB.
        ledger: Where every evaluated configuration is booked, if anywhere.

    Raises:
        ValueError: A force of the system has no translation; `OpenMMTarget` evaluates any.
    """

    def __init__(
        self,
        system: MolecularSystem,
        *,
        compiled: bool = False,
        chunk: int | None = None,
        ledger: EnergyLedger | None = None,
    ) -> None:
        super().__init__((system.n_atoms, 3), GAS_CONSTANT)
        if chunk is not None and chunk < 1:
            raise ValueError(f"chunk: expected at least 1, got {chunk}")
        self.system = system
        self.chunk = chunk or max(1, _N_PAIRS // system.n_atoms**2)
        self.force_field = compile_system(system.system)
        self._compiled = CompiledForceField(self.force_field) if compiled else None
        self.n_energy_calls = 0
        self._ledger = ledger

    def to(self, device: torch.device | str) -> "TensorTarget":
        """Move the constants to a device, in place; returns the target."""
        self.force_field.to(device)
        return self

    def potential(self, x: Tensor) -> Tensor:
        """Potential energy in kJ/mol.

        Args:
            x: Positions in nm, shape (B, n_atoms, 3).

        Returns:
            Shape (B,), in the dtype of x.

        Raises:
            ValueError: x has the wrong shape or is not floating-point.
        """
        check_event("x", x, self.event_shape)
        self.n_energy_calls += len(x)
        if self._ledger is not None:
            self._ledger.add(len(x))
        if self._compiled is not None:
            return self._compiled(x)
        finite: Tensor = FiniteGradient.apply(x)
        energy = torch.cat([self.force_field(part) for part in finite.split(self.chunk)])
        return torch.where(energy.isfinite(), energy, torch.inf)
