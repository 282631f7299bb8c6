"""The shapes of interface by which targets, objectives and kernels meet the flows."""

from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

from torch import Generator, Tensor

from boltzgen.base import Density

State = TypeVar("State")
InfoT_co = TypeVar("InfoT_co", covariant=True)


class Batch(NamedTuple):
    """Data of one training step: configurations x (B, *E) and their controls c (B, C)."""

    x: Tensor
    c: Tensor


class LossTerms(NamedTuple):
    """A scalar loss, shape (), and detached scalars worth logging."""

    loss: Tensor
    metrics: dict[str, Tensor]


class Target(Protocol):
    """A family p(x | c) = exp(-energy(x, c) + f(c)) known up to f.

    `energy` is dimensionless; +inf means forbidden, NaN never leaves a target.
    """

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one configuration."""

    @property
    def control_names(self) -> tuple[str, ...]:
        """Names of the C controls, such as ("temperature",)."""

    def energy(self, x: Tensor, c: Tensor) -> Tensor:
        """Reduced energy: (B, *E), (B, C) -> (B,)."""

    def denergy_dc(self, x: Tensor, c: Tensor) -> Tensor:
        """Partial derivative of the reduced energy in each control: -> (B, C)."""

    def energy_and_denergy_dc(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Both of the above, (B,) and (B, C), for the price of one evaluation."""


@runtime_checkable
class FreeForm(Protocol):
    """A density of decoded latents whose encoder is a network of its own."""

    base: Density

    def encode(self, x: Tensor, c: Tensor) -> Tensor:
        """Guess of the latents of x: (B, *E), (B, C) -> (B, *E)."""

    def decode(self, z: Tensor, c: Tensor) -> Tensor:
        """Configurations of latents z: (B, *E), (B, C) -> (B, *E)."""

    def encode_along(self, x: Tensor, c: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """`encode`, and its derivatives along directions (K, B, *E) of x, of their shape."""

    def decode_along(self, z: Tensor, c: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """`decode`, and its derivatives along directions (K, B, *E) of z, of their shape."""

    def probes(self, n_rows: int, n_probes: int, *, like: Tensor, generator: Generator) -> Tensor:
        """Directions v_k with E[v v'] = 1 for traces, (K, B, *E)."""


class Objective(Protocol):
    """A loss as a value: it holds what it needs and is called once a step."""

    def __call__(
        self, density: Density, batch: Batch, *, step: int, generator: Generator
    ) -> LossTerms:
        """Evaluate the loss of `density` at this step."""


class Kernel(Protocol[State, InfoT_co]):
    """A Markov kernel that keeps p(x | c) stationary; all its memory is in the state."""

    def init(self, x: Tensor, c: Tensor) -> State:
        """State for configurations x (B, *E) at controls c (B, C)."""

    def step(self, state: State, c: Tensor, *, generator: Generator) -> tuple[State, InfoT_co]:
        """Advance every chain by one step."""
