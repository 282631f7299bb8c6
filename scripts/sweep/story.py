"""What the report and the files of a sweep tell: results, and how they compare."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from boltzgen.estimators import Estimate, reliable
from boltzgen.estimators.gamma_method import GammaEstimate
from boltzgen.plots.lattice import EXACT, MONTE_CARLO, RAW, WEIGHTED
from sweep.lattice import Lattice
from sweep.results import REFERENCES, Agreement, Curve, SweepResults, agreement_of
from sweep.settings import SweepConfig

SYMBOLS = {"kappa": "κ", "lambda": "λ", "T": "T", "J": "J", "h": "h"}
_NAMES = {
    "kappa": "hopping parameter κ",
    "lambda": "self-coupling λ",
    "T": "temperature T, in units with k = 1",
    "J": "coupling J",
    "h": "field h",
}
_MISSES = 0.2
"""Forward over reverse ESS below which the flow misses a part of the target."""


class Numbers(NamedTuple):
    """A quantity at all points, each (K,); NaN where it is unknown."""

    values: np.ndarray
    errors: np.ndarray


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
        found[MONTE_CARLO] = _numbers([each[name] for each in results.monte_carlo])
    if results.flow:
        found[RAW] = _numbers([each.raw[name] for each in results.flow])
        found[WEIGHTED] = _numbers([each.reweighted[name] for each in results.flow])
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
        found[label] = given or _agreement(sources[one], sources[other])
    return found


def _agreement(one: Numbers, other: Numbers) -> Agreement:
    error = np.hypot(one.errors, other.errors)
    safe = np.where(error > 0, error, np.nan)
    return agreement_of((one.values - other.values) / safe)


def farthest(z: np.ndarray) -> int | None:
    """Where |z| is largest, among what is known."""
    return None if np.isnan(z).all() else int(np.nanargmax(np.abs(z)))


def reverse_ess(story: SweepStory) -> Numbers:
    """ESS/N of the samples of the flow."""
    return _numbers([each.ess_reverse for each in story.results.flow])


def forward_ess(story: SweepStory) -> Numbers | None:
    """ESS/N at Monte Carlo configurations; None where no point has any."""
    found = [each.ess_forward for each in story.results.flow]
    return _numbers(found) if any(each is not None for each in found) else None


def khat(story: SweepStory) -> np.ndarray:
    """Tail of the weights, (K,)."""
    return np.array([each.khat for each in story.results.flow])


def untrusted(story: SweepStory) -> list[int]:
    """Points whose weighted estimates must not be trusted."""
    return [
        number
        for number, each in enumerate(story.results.flow)
        if not reliable(each.khat)
        or (each.ess_forward is not None
            and each.ess_forward.value < _MISSES * each.ess_reverse.value)
    ]  # fmt: skip


def reference_route(free: dict[str, Curve]) -> str:
    """The route with which the others are compared."""
    for name in REFERENCES:
        if name in free and np.isfinite(free[name].values).any():
            return name
    return next(iter(free))


def aligned(free: dict[str, Curve]) -> dict[str, Numbers]:
    """-log Z by every route; relative ones are moved onto the reference at the first point.

    That point, the first that both know, has no error then. Where the reference itself is relative
    all are moved.
    """
    reference = free[reference_route(free)]
    found = {}
    for name, curve in free.items():
        values, errors = curve.values.copy(), curve.errors.copy()
        known = np.flatnonzero(np.isfinite(values) & np.isfinite(reference.values))
        moves = curve.relative or (reference.relative and curve is not reference)
        if moves and curve is not reference and known.size:
            values += reference.values[known[0]] - values[known[0]]
            errors[known[0]] = np.nan
        found[name] = Numbers(values, errors)
    return found


def differences(free: dict[str, Curve]) -> dict[str, Numbers]:
    """Every route minus the reference, with its own error; the reference as zeros with its own."""
    curves = aligned(free)
    reference = curves[reference_route(free)].values
    return {name: Numbers(c.values - reference, c.errors) for name, c in curves.items()}


def combined_errors(free: dict[str, Curve]) -> dict[str, np.ndarray]:
    """Errors of the differences, those of both as if they were independent."""
    reference = free[reference_route(free)].errors
    return {name: np.hypot(found.errors, reference) for name, found in differences(free).items()}


def _numbers(estimates: list[Estimate] | list[GammaEstimate] | list[Estimate | None]) -> Numbers:
    pairs = [(np.nan, np.nan) if e is None else (e.value, e.error) for e in estimates]
    return Numbers(*np.array(pairs, dtype=np.float64).reshape(-1, 2).T)
