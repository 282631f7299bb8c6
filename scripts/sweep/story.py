"""What the report and the files of a sweep tell: results, and how they compare."""

from dataclasses import dataclass, field

import numpy as np

from boltzgen.plots.series import EXACT, MONTE_CARLO, RAW, WEIGHTED
from pipeline.agreement import Agreement, compare_numbers
from pipeline.numbers import Numbers, numbers_of
from pipeline.routes import reference_route
from sweep.lattice import Lattice
from sweep.results import REFERENCES, Curve, SweepResults
from sweep.settings import SweepConfig

SYMBOLS = {"kappa": "κ", "lambda": "λ", "T": "T", "J": "J", "h": "h"}
_NAMES = {
    "kappa": "hopping parameter κ",
    "lambda": "self-coupling λ",
    "T": "temperature T, in units with k = 1",
    "J": "coupling J",
    "h": "field h",
}


@dataclass(frozen=True, kw_only=True)
class SweepStory:
    """All that is told; everything is computed already.

    Args:
        lattice: The model.
        config: All settings.
        results: What the sweep found.
        history: Training metrics of all steps, empty where nothing was trained in this run.
        seconds: Wall time by stage.
        command: The command line.
    """

    lattice: Lattice
    config: SweepConfig
    results: SweepResults
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    command: str = ""

    @property
    def controls(self) -> tuple[str, ...]:
        """Couplings that vary."""
        return self.config.lattice.controls

    @property
    def symbols(self) -> tuple[str, ...]:
        """Their symbols."""
        return tuple(SYMBOLS.get(name, name) for name in self.controls)

    @property
    def axis_labels(self) -> tuple[str, ...]:
        """Their names in full."""
        return tuple(_NAMES.get(name, name) for name in self.controls)

    @property
    def n_points(self) -> int:
        """K."""
        return len(self.results.values)

    @property
    def boundaries(self) -> tuple[tuple[float, ...], ...]:
        """Controls at which a flow was trained on data; none without flow or data."""
        with_data = self.results.flow and self.config.learn.objective != "backward-kl"
        return self.config.data.boundaries if with_data else ()

    def at(self, number: int) -> str:
        """A point in words, such as κ = 0.25."""
        values = self.results.values[number]
        return ", ".join(f"{s} = {v:.6g}" for s, v in zip(self.symbols, values, strict=True))


def sources_of(story: SweepStory, name: str) -> dict[str, Numbers]:
    """One observable as each source has it, in the order of drawing; without those that are not."""
    results, n = story.results, story.n_points
    exact = np.array([each.get(name, np.nan) for each in results.exact], dtype=np.float64)
    found = {}
    if np.isfinite(exact).any():
        found[EXACT] = Numbers(exact, np.zeros(n))
    if results.monte_carlo:
        found[MONTE_CARLO] = numbers_of([each[name] for each in results.monte_carlo])
    if results.flow:
        found[RAW] = numbers_of([each.raw[name] for each in results.flow])
        found[WEIGHTED] = numbers_of([each.reweighted[name] for each in results.flow])
    return found


def agreements_of(story: SweepStory, name: str) -> dict[str, Agreement]:
    """How the sources of one observable agree, by the pair; the most telling one first.

    The flow is compared with Monte Carlo, then both with what is exact. z is NaN where one of two
    is unknown, or where neither has an error.
    """
    sources, found = sources_of(story, name), {}
    for label, one, other in (
        ("flow − Monte Carlo", WEIGHTED, MONTE_CARLO),
        ("flow − exact", WEIGHTED, EXACT),
        ("Monte Carlo − exact", MONTE_CARLO, EXACT),
    ):
        if one not in sources or other not in sources:
            continue
        given = story.results.agreement.get(name) if other == MONTE_CARLO else None
        found[label] = given or compare_numbers(sources[one], sources[other])
    return found


def reverse_ess(story: SweepStory) -> Numbers:
    """ESS/N of the samples of the flow."""
    return numbers_of([each.ess_reverse for each in story.results.flow])


def forward_ess(story: SweepStory) -> Numbers | None:
    """ESS/N at Monte Carlo configurations; None where no point has any."""
    found = [each.ess_forward for each in story.results.flow]
    return numbers_of(found) if any(each is not None for each in found) else None


def khat(story: SweepStory) -> np.ndarray:
    """Tail of the weights, (K,)."""
    return np.array([each.khat for each in story.results.flow])


def reference_of(free: dict[str, Curve]) -> str:
    """The route to the free energy with which the others are compared."""
    return reference_route(free, REFERENCES)
