"""What an independent replica-exchange reference says, and how far a model is from it."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator as RandomGenerator

from boltzgen.estimators import (
    Comparison,
    Energetics,
    Estimate,
    FreeEnergies,
    Profile,
    angle_profile,
    compare_populations,
    independent_indices,
    mbar,
    reference_energetics,
)
from pipeline.angles import AnglePair
from pipeline.evaluation import Evaluation, Frames, blocks_of
from systems.molecules import ReferenceSet
from systems.units import GAS_CONSTANT

_MIN_FRAMES = 50


@dataclass(frozen=True)
class ReferenceFreeEnergies:
    """What the reference says; arrays have shape (K,), one entry per temperature.

    Args:
        temperatures: K.
        free_energy: Reduced free energy -log Z(T) relative to the first temperature, kT.
        asymptotic_errors: Standard errors of all differences by MBAR, kT, shape (K, K).
        by_repeat: Free energies from each repeat alone, kT, shape (R, K).
        potential: Mean potential energy, kJ/mol.
        potential_error: Its standard error, kJ/mol.
        n_independent: Independent frames that entered MBAR.
        overlap: Smallest overlap between neighbouring temperatures, a number.
    """

    temperatures: np.ndarray
    free_energy: np.ndarray
    asymptotic_errors: np.ndarray
    by_repeat: np.ndarray
    potential: np.ndarray
    potential_error: np.ndarray
    n_independent: np.ndarray
    overlap: float

    @property
    def asymptotic_error(self) -> np.ndarray:
        """Error of f(T) - f(first T) by MBAR, kT, shape (K,)."""
        return self.asymptotic_errors[0]

    @property
    def spread_error(self) -> np.ndarray:
        """The same from the spread over repeats, NaN for one repeat, shape (K,)."""
        return _spread(self.by_repeat)

    @property
    def error(self) -> np.ndarray:
        """The larger of the two errors."""
        return np.fmax(self.asymptotic_error, self.spread_error)

    def between(self, low: float, high: float) -> Estimate | None:
        """Return f(high) - f(low) with its error, or None if one is not on the ladder."""
        first, last = (np.flatnonzero(np.isclose(self.temperatures, t)) for t in (low, high))
        if not first.size or not last.size:
            return None
        i, j = int(first[0]), int(last[0])
        spread = _spread((self.by_repeat[:, j] - self.by_repeat[:, i])[:, None])[0]
        error = float(np.fmax(self.asymptotic_errors[i, j], spread))
        return Estimate(float(self.free_energy[j] - self.free_energy[i]), error)


def analyse(data: ReferenceSet) -> ReferenceFreeEnergies:
    """Free energies and mean energies of a reference, with errors of two kinds.

    Args:
        data: Frames of a reference.

    Raises:
        ValueError: There are too few frames to say anything.
    """
    n_states = data.temperatures.size
    if data.potential.size < _MIN_FRAMES * n_states:
        raise ValueError(
            f"data: expected at least {_MIN_FRAMES * n_states} frames, got {data.potential.size}; "
            "sample longer (--ns)"
        )
    repeats = _independent_rows(data)
    found, counts = _free_energies(data, np.concatenate(repeats))
    single = np.stack([_free_energies(data, rows)[0].f_k for rows in repeats])
    means = np.array(
        [
            [data.potential[(data.repeat == r) & (data.state == k)].mean() for k in range(n_states)]
            for r in np.unique(data.repeat)
        ]
    )
    by_state = [data.potential[data.state == k] for k in range(n_states)]
    asymptotic = np.array([u.std() for u in by_state]) / np.sqrt(counts)
    return ReferenceFreeEnergies(
        temperatures=data.temperatures,
        free_energy=found.f_k,
        asymptotic_errors=found.difference_errors,
        by_repeat=single,
        potential=np.array([u.mean() for u in by_state]),
        potential_error=np.fmax(asymptotic, _spread(means)),
        n_independent=counts,
        overlap=float(np.diag(found.overlap, 1).min()),
    )


def _independent_rows(data: ReferenceSet) -> list[np.ndarray]:
    """Rows of frames with independent energies, one array per repeat.

    The series of each state in each repeat is thinned by the statistical inefficiency of the
    energy, on which alone f(T) depends. Slower motions that move the energy a little (phi changing
    hands) are what the spread over repeats is there to catch.
    """
    kept = []
    for repeat in np.unique(data.repeat):
        rows = []
        for state in range(data.temperatures.size):
            series = np.flatnonzero((data.repeat == repeat) & (data.state == state))
            rows.append(series[independent_indices(data.potential[series])])
        kept.append(np.concatenate(rows))
    return kept


def _free_energies(data: ReferenceSet, rows: np.ndarray) -> tuple[FreeEnergies, np.ndarray]:
    """MBAR over the given rows, and how many of them each temperature has, (K,)."""
    rows = rows[np.argsort(data.state[rows], kind="stable")]
    counts = np.bincount(data.state[rows], minlength=data.temperatures.size)
    u_kn = data.potential[None, rows] / (GAS_CONSTANT * data.temperatures[:, None])
    return mbar(u_kn, counts), counts


def _spread(values: np.ndarray) -> np.ndarray:
    """Standard error of the mean over repeats, (R, K) -> (K,); NaN for one repeat."""
    n_repeats = values.shape[0]
    if n_repeats < 2:
        return np.full(values.shape[1], np.nan)
    return np.asarray(values.std(axis=0, ddof=1) / np.sqrt(n_repeats))


def reference_frames(data: ReferenceSet, angles: AnglePair | None) -> dict[float, Frames]:
    """Frames of each temperature of the ladder, in independent blocks."""
    found = {}
    rows = in_order(data)
    for state, temperature in enumerate(data.temperatures):
        chosen = rows[:, :, state]
        x, potential = data.x[chosen], data.potential[chosen].astype(np.float64)
        found[float(temperature)] = Frames(
            "replica exchange", float(temperature), x.reshape(-1, *x.shape[2:]),
            potential.reshape(-1), blocks_of(x, potential, angles),
        )  # fmt: skip
    return found


def in_order(data: ReferenceSet) -> np.ndarray:
    """Rows of the frames by repeat, iteration and state: (R, N, K).

    An unfinished reference may have repeats of different length; what is longer is left out.
    """
    order = np.lexsort((data.state, data.iteration, data.repeat))
    n_states = data.temperatures.size
    by_repeat = [
        order[data.repeat[order] == repeat].reshape(-1, n_states)
        for repeat in np.unique(data.repeat)
    ]
    shortest = min(len(rows) for rows in by_repeat)
    return np.stack([rows[:shortest] for rows in by_repeat])


@dataclass(frozen=True)
class Agreement:
    """Model against reference.

    Args:
        free: The reference's free energies.
        z_free_energy: (model - reference) / error of f(high) - f(low).
        profiles: Reference profiles of the first torsion, by temperature.
        comparisons: Their comparison with the model's, by temperature.
        too_few: Why there is none, by temperature: the reference is too short there.
        energetics: U and C_v of the reference, by temperature.
        n_energy_calls: What the reference cost.
        complete: Whether it has its full length.
    """

    free: ReferenceFreeEnergies
    z_free_energy: float | None
    profiles: dict[float, Profile]
    comparisons: dict[float, Comparison]
    too_few: dict[float, str]
    energetics: dict[float, Energetics]
    n_energy_calls: int
    complete: bool


def compare(
    data: ReferenceSet,
    evaluation: Evaluation,
    angles: AnglePair | None,
    *,
    rng: RandomGenerator,
) -> Agreement:
    """Set a model's free energies and torsion profiles against the reference."""
    free = analyse(data)
    frames = reference_frames(data, angles)
    profiles, comparisons, energetics, too_few = {}, {}, {}, {}
    for point in evaluation.points:
        at = frames.get(point.temperature)
        if at is None:
            continue
        energetics[point.temperature] = reference_energetics(
            at.potential, at.temperature, k_b=GAS_CONSTANT, rng=rng, blocks=at.blocks
        )
        if angles is None or point.torsions.profile is None:
            continue
        profile = angle_profile(angles.measure(at.x)[0], blocks=at.blocks)
        profiles[point.temperature] = profile
        try:
            comparisons[point.temperature] = compare_populations(
                point.torsions.profile.populations, profile.populations
            )
        except ValueError as error:
            too_few[point.temperature] = str(error)
    low, high = float(evaluation.temperatures[0]), float(evaluation.temperatures[-1])
    known = free.between(low, high)
    z = None
    if known is not None:
        both = np.hypot(known.error, evaluation.free_energy_errors[-1])
        z = float((evaluation.free.f_k[-1] - known.value) / both)
    return Agreement(
        free, z, profiles, comparisons, too_few, energetics, data.n_energy_calls, data.complete
    )
