"""The shared base of systems whose thermodynamics is known: what a method must reproduce."""

from abc import abstractmethod

from torch import Generator, Tensor

from systems.checks import check_positive
from systems.thermal import ThermalTarget


class ExactTarget(ThermalTarget):
    """A thermal target with exact answers, in units where Boltzmann's constant is 1.

    Subclasses write `potential`, `log_partition`, `mean_potential`, `heat_capacity` and
    `sample_exact`.

    Args:
        event_shape: Shape of one configuration.
    """

    def __init__(self, event_shape: tuple[int, ...]) -> None:
        super().__init__(event_shape, boltzmann_constant=1.0)

    @abstractmethod
    def log_partition(self, T: float) -> float:
        """Log of Z(T), the integral of exp(-U(x) / T) over all x."""

    @abstractmethod
    def mean_potential(self, T: float) -> float:
        """Mean of U at temperature T."""

    @abstractmethod
    def heat_capacity(self, T: float) -> float:
        """Derivative of the mean of U in T, Var(U) / T^2."""

    @abstractmethod
    def sample_exact(self, T: float, n: int, *, generator: Generator) -> Tensor:
        """Draw n independent configurations at temperature T.

        Args:
            T: Temperature.
            n: How many.
            generator: The random stream; the result is on its device.

        Returns:
            Shape (n, *E), float64.
        """

    def entropy(self, T: float) -> float:
        """Differential entropy of p(x | T) in nats: no model has a lower mean of -log q."""
        check_positive("T", T)
        return self.log_partition(T) + self.mean_potential(T) / T

    def log_density(self, x: Tensor, T: float) -> Tensor:
        """Normalised log p(x | T): (B, *E) -> (B,)."""
        return -self.energy(x, T) - self.log_partition(T)


def check_count(name: str, value: int) -> None:
    """Require an integer of at least 1."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name}: expected an integer of at least 1, got {value!r}")
