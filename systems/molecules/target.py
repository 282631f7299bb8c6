"""An OpenMM system as a target: reduced energy, its temperature derivative, forces by autograd."""

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from systems.checks import check_event
from systems.ledger import EnergyLedger
from systems.molecules.definition import MolecularSystem
from systems.molecules.evaluation import EnergyPool
from systems.thermal import ThermalTarget
from systems.units import GAS_CONSTANT


class OpenMMTarget(ThermalTarget):
    """p(x | T) ~ exp(-U(x) / RT) over all Cartesian coordinates of a molecule.

    U is in kJ/mol, x in nm, T in K. OpenMM computes in double precision; results have the dtype
    and device of x. U is +inf, with zero force, where it (in that dtype) or x is not finite; where
    only a force is not finite, it is zero. Forces are computed only if x requires a gradient, come
    from the same call as the energy, and cannot be differentiated again: that raises.

    With `system.constraints` this is the energy as a function of all coordinates, although there
    is no density in the constrained bonds: use a chart that freezes exactly these.

    Args:
        system: The molecule.
        platform: OpenMM platform. "Reference" is fastest for small molecules but for those with
            Custom* forces ("ala2/ff96-obc1"), which "CPU" compiles.
        n_workers: Threads that share a batch; 0 evaluates in the calling thread. Results are the
            same bit for bit on the Reference platform.
        ledger: Where every evaluated configuration is booked, if anywhere.
    """

    def __init__(
        self,
        system: MolecularSystem,
        *,
        platform: str = "Reference",
        n_workers: int = 0,
        ledger: EnergyLedger | None = None,
    ) -> None:
        super().__init__((system.n_atoms, 3), GAS_CONSTANT)
        self.system = system
        self.n_energy_calls = 0
        self._ledger = ledger
        self._pool = EnergyPool(system, platform=platform, n_workers=n_workers)

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
        with_forces = x.requires_grad and torch.is_grad_enabled()
        energy: Tensor = _Potential.apply(x, self, with_forces)
        return energy

    def close(self) -> None:
        """Let go of threads and OpenMM Contexts; a later evaluation makes new ones."""
        self._pool.close()

    def __enter__(self) -> "OpenMMTarget":
        """Return the target; the block's end closes it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def _evaluate(self, x: Tensor, *, with_forces: bool) -> tuple[np.ndarray, np.ndarray]:
        self.n_energy_calls += x.shape[0]
        if self._ledger is not None:
            self._ledger.add(x.shape[0])
        positions = x.detach().to(device="cpu", dtype=torch.float64).numpy()
        return self._pool.evaluate(positions, with_forces=with_forces)


class _Potential(torch.autograd.Function):
    """U(x), keeping the force of the same call for the backward pass."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, target: OpenMMTarget, with_forces: bool) -> Tensor:  # noqa: FBT001
        found = target._evaluate(x, with_forces=with_forces)
        energies, forces = (torch.as_tensor(a, dtype=x.dtype, device=x.device) for a in found)
        overflow = ~torch.isfinite(energies)  # in the dtype of x
        if with_forces:
            lost = overflow | ~torch.isfinite(forces).all(dim=(1, 2))
            forces = forces.masked_fill(lost[:, None, None], 0.0)
        ctx.save_for_backward(x, forces)
        return energies.masked_fill(overflow, torch.inf)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None, None]:
        x, forces = ctx.saved_tensors  # type: ignore[attr-defined]
        return _Gradient.apply(x, forces, gradient), None, None


class _Gradient(torch.autograd.Function):
    """Gradient of U, a function of x that refuses to be differentiated.

    `once_differentiable` alone would not do: it raises only if the incoming gradient itself needs
    one, so a loss on the force would silently have no gradient.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, forces: Tensor, gradient: Tensor) -> Tensor:
        del ctx, x
        product = -forces * gradient[:, None, None]
        return product.masked_fill(forces == 0, 0.0)  # also where the energy, so gradient, is inf

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, *_: Tensor) -> tuple[Tensor, None, None]:
        raise RuntimeError(
            "OpenMMTarget: OpenMM gives no second derivatives, so nothing that depends on the "
            "force can be differentiated; detach the force"
        )
