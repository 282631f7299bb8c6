"""Targets whose one control is a temperature: energy(x, T) = U(x) / (k T), written once."""

from abc import ABC, abstractmethod

from torch import Tensor

from systems.checks import check_event, column


class ThermalTarget(ABC):
    """A potential U and Boltzmann's constant k make a family p(x | T) ~ exp(-U(x) / (k T)).

    Subclasses write `potential`.

    Args:
        event_shape: Shape of one configuration.
        boltzmann_constant: k in the units of U per unit of T (1 for reduced units).
    """

    control_names: tuple[str, ...] = ("temperature",)

    def __init__(self, event_shape: tuple[int, ...], boltzmann_constant: float = 1.0) -> None:
        self.event_shape = tuple(event_shape)
        self.boltzmann_constant = boltzmann_constant

    @abstractmethod
    def potential(self, x: Tensor) -> Tensor:
        """Potential energy U: (B, *E) -> (B,); differentiable; +inf where forbidden, never NaN."""

    def energy(self, x: Tensor, T: Tensor | float) -> Tensor:
        """Reduced energy U(x) / (k T).

        Args:
            x: Configurations, shape (B, *E).
            T: Temperature, a number, (B,) or (B, 1).

        Returns:
            Shape (B,), dimensionless.

        Raises:
            ValueError: A shape is wrong or a temperature is not positive.
        """
        check_event("x", x, self.event_shape)
        return self.potential(x) / (self.boltzmann_constant * column("T", T, x))

    def denergy_dT(self, x: Tensor, T: Tensor | float) -> Tensor:
        """Derivative of the reduced energy in the temperature, -U(x) / (k T^2), shape (B,)."""
        check_event("x", x, self.event_shape)
        temperature = column("T", T, x)
        return -self.potential(x) / (self.boltzmann_constant * temperature**2)

    def denergy_dc(self, x: Tensor, c: Tensor | float) -> Tensor:
        """`denergy_dT` as a (B, 1) tensor, the general form of one derivative per control."""
        return self.denergy_dT(x, c)[:, None]

    def energy_and_denergy_dc(self, x: Tensor, c: Tensor | float) -> tuple[Tensor, Tensor]:
        """Reduced energy (B,) and its derivative in T (B, 1) from one evaluation of U."""
        check_event("x", x, self.event_shape)
        temperature = column("c", c, x)
        reduced = self.potential(x) / (self.boltzmann_constant * temperature)
        return reduced, (-reduced / temperature)[:, None]
