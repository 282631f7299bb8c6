"""Weighted samples of a trained model."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from boltzgen.flows.free_form import FreeFormFlow, RoundTrip, round_trip
from pipeline.model import Model
from systems.charts import ChartedTarget
from systems.units import GAS_CONSTANT

_CHUNK = 2000
_N_CERTIFIED, _LEAST_CERTIFIED = 200, 2


@dataclass(frozen=True)
class WeightedSamples:
    """Samples of the model at one temperature; N rows, float64.

    Args:
        temperature: K.
        z: Chart coordinates, shape (N, D).
        x: Positions in nm, shape (N, n, 3).
        potential: Potential energy in kJ/mol, +inf outside the chart's domain, shape (N,).
        log_volume: log|det dx/dz|, shape (N,).
        log_q: Log-density of the model in the chart, shape (N,).
    """

    temperature: float
    z: np.ndarray
    x: np.ndarray
    potential: np.ndarray
    log_volume: np.ndarray
    log_q: np.ndarray

    def reduced_energy(self, temperature: float) -> np.ndarray:
        """U / kT less the log-volume: the target's reduced energy in the chart, shape (N,)."""
        return self.potential / (GAS_CONSTANT * temperature) - self.log_volume

    @property
    def log_w(self) -> np.ndarray:
        """Log-weights log p~ - log q in the chart, -inf where forbidden, shape (N,)."""
        return -self.reduced_energy(self.temperature) - self.log_q


def check_temperature(model: Model, temperature: float) -> None:
    """Require a temperature inside the range of the run."""
    low, high = model.config.low, model.config.high
    if not low <= temperature <= high:
        raise ValueError(
            f"--T: expected {low:g} to {high:g} K, the range the run was trained on, "
            f"got {temperature:g}"
        )


@torch.no_grad()
def draw(
    model: Model, target: ChartedTarget, temperature: float, n: int, *, generator: Generator
) -> WeightedSamples:
    """Draw n samples with their energies, one energy call each.

    Everything is computed in float64: weights are exponentials of differences of large numbers.
    """
    parts: list[tuple[Tensor, ...]] = []
    for size in _sizes(n):
        c = torch.full((size, 1), temperature, dtype=torch.float64)
        z, log_q = model.flow.sample_and_log_prob(c, generator=generator)
        x, log_volume = model.chart.to_cartesian(z)
        reduced = target.energy(z, temperature) + log_volume
        potential = reduced * (GAS_CONSTANT * temperature)
        parts.append((z, x, potential, log_volume, log_q))
    columns = [torch.cat(column).numpy() for column in zip(*parts, strict=True)]
    return WeightedSamples(temperature, *columns)


@torch.no_grad()
def log_density(model: Model, z: np.ndarray, temperature: float) -> np.ndarray:
    """Log-density of chart coordinates (N, D) at a temperature, shape (N,)."""
    rows = torch.from_numpy(np.ascontiguousarray(z)).split(_CHUNK)
    return torch.cat([model.flow.log_prob(row, temperature) for row in rows]).numpy()


@torch.no_grad()
def log_weights_of_frames(
    model: Model, x: np.ndarray, potential: np.ndarray, temperature: float
) -> np.ndarray:
    """Log-weights log p~ - log q at frames of a simulation, -inf outside the chart's domain.

    Args:
        model: The model.
        x: Positions in nm, shape (N, n, 3).
        potential: Their energies in kJ/mol, shape (N,); no energy is evaluated anew.
        temperature: K.
    """
    parts = []
    energies = torch.from_numpy(np.ascontiguousarray(potential)).split(_CHUNK)
    for rows, u in zip(torch.from_numpy(x).split(_CHUNK), energies, strict=True):
        z, logdet = model.chart.to_internal(rows.double())
        log_q = model.flow.log_prob(z, temperature)
        log_p = -u / (GAS_CONSTANT * temperature) - logdet
        parts.append(torch.where(model.chart.in_domain(z), log_p - log_q, -torch.inf))
    return torch.cat(parts).numpy()


def _sizes(n: int) -> list[int]:
    whole, rest = divmod(n, _CHUNK)
    return [_CHUNK] * whole + ([rest] if rest else [])


def certify(model: Model, x: np.ndarray, temperature: float, *, seed: int) -> RoundTrip | None:
    """The round trip of a free-form flow on frames (N, n, 3) of a simulation; None for others.

    Of the frames, 200 or fewer that the chart has are taken; None too where it has none.
    """
    if not isinstance(model.flow, FreeFormFlow):
        return None
    z = model.chart.to_internal(torch.from_numpy(x[:: max(1, len(x) // _N_CERTIFIED)]).double())[0]
    z = z[model.chart.in_domain(z)][:_N_CERTIFIED]
    if len(z) < _LEAST_CERTIFIED:
        return None
    c = torch.full((len(z), 1), temperature, dtype=torch.float64)
    return round_trip(model.flow, z, c, generator=Generator().manual_seed(seed))
