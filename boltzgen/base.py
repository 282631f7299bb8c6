"""The two abstract classes of every flow: a conditional bijection and a conditional density.

Subclasses write `_forward`, `_inverse`, `_log_prob`, `_sample_and_log_prob`; the public methods
check shapes once, so that no layer has to and none can forget to.
"""

from abc import ABC, abstractmethod

from torch import Generator, Tensor, nn

from boltzgen.checks import check_controls, check_event, widen_controls


class Bijection(nn.Module, ABC):
    """An invertible map x <-> z that depends on controls c.

    Args:
        event_shape: Shape of one x (and of one z).
        n_controls: C, the number of controls; 0 for an unconditional map.
    """

    def __init__(self, event_shape: tuple[int, ...], n_controls: int) -> None:
        super().__init__()
        self.event_shape = tuple(event_shape)
        self.n_controls = n_controls

    def forward(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Map x to z.

        Args:
            x: Configurations, shape (B, *E).
            c: Controls, shape (B, C).

        Returns:
            z of shape (B, *E) and log|det dz/dx| of shape (B,).

        Raises:
            ValueError: A shape or dtype is wrong.
        """
        self._check("x", x, c)
        return self._forward(x, c)

    def inverse(self, z: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Map z to x.

        Args:
            z: Latents, shape (B, *E).
            c: Controls, shape (B, C).

        Returns:
            x of shape (B, *E) and log|det dx/dz| of shape (B,).

        Raises:
            ValueError: A shape or dtype is wrong.
        """
        self._check("z", z, c)
        return self._inverse(z, c)

    def _check(self, name: str, value: Tensor, c: Tensor) -> None:
        check_event(name, value, self.event_shape)
        check_controls("c", c, value.shape[0], self.n_controls)

    @abstractmethod
    def _forward(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]: ...

    @abstractmethod
    def _inverse(self, z: Tensor, c: Tensor) -> tuple[Tensor, Tensor]: ...


class Density(nn.Module, ABC):
    """A normalised density p(x | c) that can be evaluated and sampled.

    Args:
        event_shape: Shape of one x.
        n_controls: C, the number of controls.
    """

    def __init__(self, event_shape: tuple[int, ...], n_controls: int) -> None:
        super().__init__()
        self.event_shape = tuple(event_shape)
        self.n_controls = n_controls

    def log_prob(self, x: Tensor, c: Tensor | float) -> Tensor:
        """Log-density.

        Args:
            x: Configurations, shape (B, *E).
            c: Controls, shape (B, C); a number or (B,) where C = 1.

        Returns:
            Shape (B,).

        Raises:
            ValueError: A shape or dtype is wrong.
        """
        check_event("x", x, self.event_shape)
        return self._log_prob(x, widen_controls(c, x.shape[0], self.n_controls, x))

    def sample(self, c: Tensor, *, generator: Generator) -> Tensor:
        """Draw one x for each row of c, shape (B, C) -> (B, *E)."""
        return self.sample_and_log_prob(c, generator=generator)[0]

    def sample_and_log_prob(self, c: Tensor, *, generator: Generator) -> tuple[Tensor, Tensor]:
        """Draw one x for each row of c, with its log-density.

        Args:
            c: Controls, shape (B, C).
            generator: The random stream.

        Returns:
            x of shape (B, *E) and log p(x | c) of shape (B,).

        Raises:
            ValueError: c has the wrong shape or dtype.
        """
        rows = len(c) if isinstance(c, Tensor) and c.dim() == 2 else 0
        check_controls("c", c, rows, self.n_controls)
        return self._sample_and_log_prob(c, generator)

    @abstractmethod
    def _log_prob(self, x: Tensor, c: Tensor) -> Tensor: ...

    @abstractmethod
    def _sample_and_log_prob(self, c: Tensor, generator: Generator) -> tuple[Tensor, Tensor]: ...
