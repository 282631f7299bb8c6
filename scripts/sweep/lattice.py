"""What a sweep knows of a lattice model: its target, what is measured, what is known exactly."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from torch import Generator, Tensor

from boltzgen.protocols import Target
from systems.lattices.geometry import check_lattice
from systems.lattices.monte_carlo import Schedule

Couplings = Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class LatticeConfig:
    """A model on a lattice, and which of its couplings vary.

    Args:
        kind: "phi4" (hopping form, couplings kappa and lambda) or "ising" (T, J, h).
        shape: Lengths of the lattice.
        controls: Couplings that vary, in the order of the model.
        fixed_names: The other couplings.
        fixed_values: Their values.
    """

    kind: Literal["phi4", "ising"]
    shape: tuple[int, ...]
    controls: tuple[str, ...]
    fixed_names: tuple[str, ...]
    fixed_values: tuple[float, ...]

    def __post_init__(self) -> None:
        check_lattice(self.shape)

    @property
    def fixed(self) -> dict[str, float]:
        """Couplings that do not vary, by name."""
        return dict(zip(self.fixed_names, self.fixed_values, strict=True))

    @property
    def n_sites(self) -> int:
        """V."""
        return int(np.prod(self.shape))

    @property
    def name(self) -> str:
        """The system in full, such as phi4/8x8/lambda=0.02."""
        parts = [f"{name}={value:g}" for name, value in self.fixed.items()]
        return "/".join([self.kind, "x".join(map(str, self.shape)), *parts])

    def couplings(self, values: Sequence[float]) -> dict[str, float]:
        """All couplings at values of the controls."""
        return {**dict(zip(self.controls, values, strict=True)), **self.fixed}


class Observable(NamedTuple):
    """A quantity made of the means of what is measured.

    Attributes:
        name: In files.
        label: In pictures and tables.
        function: From means (M,), in the order of `Lattice.measured`, and the couplings; NaN where
            a mean that it needs is NaN.
    """

    name: str
    label: str
    function: Callable[[np.ndarray, Couplings], float]

    def at(self, couplings: Couplings) -> Callable[[np.ndarray], float]:
        """The function of the means alone."""

        def of_means(means: np.ndarray) -> float:
            return self.function(means, couplings)

        return of_means


@dataclass(frozen=True, kw_only=True)
class ChainSettings:
    """Markov chains at one point.

    Args:
        n_chains: Independent chains.
        n_burn_in: Sweeps of each before the first record.
        n_records: Records of each.
        n_between: Sweeps from one record to the next.
        store_every: Records from one configuration kept to the next.
    """

    n_chains: int
    n_burn_in: int
    n_records: int
    n_between: int
    store_every: int

    @property
    def schedule(self) -> Schedule:
        """The same for the compiled chains."""
        return Schedule(
            n_sweeps=self.n_records * self.n_between, n_burn_in=self.n_burn_in,
            measure_every=self.n_between, store_every=self.store_every,
        )  # fmt: skip


class Chains(NamedTuple):
    """What chains found.

    Attributes:
        measured: Float64 (n_chains, n_records, M).
        stored: Configurations, (n_chains, n_stored, *shape).
    """

    measured: np.ndarray
    stored: np.ndarray


class Lattice(ABC):
    """A kind of model on a lattice; `models.open_lattice` makes the right one.

    Attributes:
        config: The model.
        measured: Names of what is measured on each configuration; sums are per site. The first
            three are |m|, m^2 and m^4.
        statistics: Those of them in which the reduced energy is linear.
        observables: Quantities that follow from the means.
    """

    measured: tuple[str, ...]
    statistics: tuple[str, ...]
    observables: tuple[Observable, ...]

    def __init__(self, config: LatticeConfig) -> None:
        self.config = config

    @abstractmethod
    def target(self) -> Target:
        """What a flow learns; its controls are those that vary."""

    @abstractmethod
    def measure(self, x: Tensor, c: Tensor, *, generator: Generator) -> np.ndarray:
        """Measure fields of the target, (N, *shape) at controls (N, C) -> float64 (N, M)."""

    @abstractmethod
    def chains(
        self, couplings: Couplings, settings: ChainSettings, *, generator: Generator
    ) -> Chains:
        """Monte Carlo of the model at all its couplings."""

    @abstractmethod
    def field_of(self, configurations: Tensor, c: Tensor, *, generator: Generator) -> Tensor:
        """Fields that follow the target, from configurations of chains; the same shape."""

    @abstractmethod
    def nearest_to_known_end(self, couplings: Sequence[Couplings]) -> int:
        """Which of several points has the least coupled sites."""

    @abstractmethod
    def coefficients(self, couplings: Couplings) -> np.ndarray:
        """Coefficients of `statistics` in the reduced energy per site."""

    @abstractmethod
    def exact_means(self, couplings: Couplings) -> tuple[np.ndarray, float]:
        """What is known exactly: means (M,) and log Z, NaN for what is not."""

    @abstractmethod
    def known_end(self, couplings: Couplings) -> tuple[dict[str, float], float]:
        """The end of a path of couplings at which all sites are independent, and log Z there."""

    def statistics_of(self, measured: np.ndarray) -> np.ndarray:
        """Columns of `statistics` among what is measured, (..., M) -> (..., K)."""
        return measured[..., [self.measured.index(name) for name in self.statistics]]

    def exact(self, couplings: Couplings) -> dict[str, float]:
        """Observables, and "log_z", that are known exactly, by name."""
        means, log_z = self.exact_means(couplings)
        found = {each.name: each.function(means, couplings) for each in self.observables}
        found["log_z"] = log_z
        return {name: value for name, value in found.items() if np.isfinite(value)}


def common_observables(n_sites: int) -> tuple[Observable, ...]:
    """Those of the magnetisation: |m|, V (<m^2> - <|m|>^2), 1 - <m^4> / (3 <m^2>^2)."""

    def susceptibility(m: np.ndarray, couplings: Couplings) -> float:
        return float(n_sites * (m[1] - m[0] ** 2))

    def binder(m: np.ndarray, couplings: Couplings) -> float:
        return float(1 - m[2] / (3 * m[1] ** 2))

    return (
        Observable("abs_m", "⟨|m|⟩", lambda m, couplings: float(m[0])),
        Observable("chi", "χ = V (⟨m²⟩ − ⟨|m|⟩²)", susceptibility),
        Observable("binder", "U = 1 − ⟨m⁴⟩ / 3⟨m²⟩²", binder),
    )
