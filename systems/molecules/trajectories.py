"""Frames of molecular dynamics at one temperature, by trajectory, and what is checked on them."""

from dataclasses import dataclass

import numpy as np

from systems.molecules.errors import SimulationError

_STEP_BIAS = 0.005  # a time step of 1-2 fs may shift the kinetic temperature by this fraction
_MAX_Z = 4.5


@dataclass(frozen=True, eq=False)
class TrajectorySet:
    """Trajectories of equal length at one temperature.

    Args:
        x: Positions in nm, float32, shape (n_trajectories, n_frames, n_atoms, 3).
        potential: Potential energy in kJ/mol, shape (n_trajectories, n_frames).
        temperature: Temperature of the thermostat in K.
        n_steps: Steps taken for all this, equilibration included: its price in energy calls.
        kinetic_temperature: Temperature measured from the kinetic energy, K; None of chains that
            draw their momenta.
        kinetic_temperature_error: Its standard error, K.
    """

    x: np.ndarray
    potential: np.ndarray
    temperature: float
    n_steps: int
    kinetic_temperature: float | None = None
    kinetic_temperature_error: float | None = None

    @property
    def n_trajectories(self) -> int:
        """Number of trajectories."""
        return int(self.x.shape[0])

    @property
    def n_frames(self) -> int:
        """Frames of each trajectory."""
        return int(self.x.shape[1])

    def frames(self) -> np.ndarray:
        """All frames in one array, shape (n_trajectories n_frames, n_atoms, 3)."""
        return self.x.reshape(-1, *self.x.shape[2:])

    def split(self, n_held_out: int) -> tuple["TrajectorySet", "TrajectorySet"]:
        """Part whole trajectories: all but the last n_held_out, and those.

        Neighbouring frames are alike, so frames held out one by one would test nothing.

        Raises:
            ValueError: One side would be empty.
        """
        n = self.n_trajectories
        if not 1 <= n_held_out < n:
            raise ValueError(
                f"n_held_out: expected 1 to {n - 1} of {n} trajectories, got {n_held_out}"
            )
        return self._part(slice(None, n - n_held_out)), self._part(slice(n - n_held_out, None))

    def _part(self, rows: slice) -> "TrajectorySet":
        x = self.x[rows]
        n_steps = self.n_steps * len(x) // self.n_trajectories
        return TrajectorySet(
            x,
            self.potential[rows],
            self.temperature,
            n_steps,
            self.kinetic_temperature,
            self.kinetic_temperature_error,
        )


def statistical_inefficiency(series: np.ndarray) -> float:
    """Frames per independent frame, at least 1, by Geyer's initial positive sequence.

    Args:
        series: Shape (n_trajectories, n_frames); correlations are averaged over trajectories.

    References:
        Geyer, Stat. Sci. 7, 473 (1992).
    """
    series = series - series.mean()
    n_frames = series.shape[1]
    n_padded = 2 * n_frames
    spectrum = np.abs(np.fft.rfft(series, n_padded, axis=1)) ** 2
    covariance = np.fft.irfft(spectrum, n_padded, axis=1)[:, :n_frames].mean(0) / n_frames
    if covariance[0] <= 0:
        return 1.0
    pairs = (covariance[: n_frames // 2 * 2] / covariance[0]).reshape(-1, 2).sum(1)
    negative = np.flatnonzero(pairs <= 0)
    end = negative[0] if negative.size else pairs.size
    return float(max(1.0, 2.0 * pairs[:end].sum() - 1.0))


def mean_and_error(series: np.ndarray) -> tuple[float, float]:
    """Mean and standard error of correlated trajectories, shape (n_trajectories, n_frames).

    The larger of two errors counts: from the correlation time and from the spread of the
    trajectories' means (given at least four of them).
    """
    n_independent = series.size / statistical_inefficiency(series)
    error = float(series.std(ddof=1) / np.sqrt(n_independent))
    n_trajectories = series.shape[0]
    if n_trajectories >= 4:
        spread = series.mean(1).std(ddof=1) / np.sqrt(n_trajectories)
        error = max(error, float(spread))
    return float(series.mean()), error


def check_temperature(measured: float, error: float, wanted: float) -> None:
    """Raise SimulationError if a kinetic temperature is off by more than chance and time step.

    Args:
        measured: K.
        error: Standard error, K.
        wanted: K.
    """
    tolerance = _MAX_Z * error + _STEP_BIAS * wanted
    if not abs(measured - wanted) <= tolerance:
        raise SimulationError(
            f"dynamics: kinetic temperature {measured:.1f} +- {error:.1f} K, expected "
            f"{wanted:.1f} K within {tolerance:.1f} K; shorten the time step or lengthen the "
            "equilibration"
        )
