"""How well replicas moved along a ladder, and how many independent frames they left."""

from dataclasses import dataclass

import numpy as np
import torch

from boltzgen.kernels import ExchangeInfo, ExchangeRecord
from pipeline.angles import AnglePair
from pipeline.reference import in_order
from systems.molecules import MixingReport, MolecularSystem, ReferenceSet, check_mixing
from systems.molecules.trajectories import statistical_inefficiency
from systems.units import GAS_CONSTANT

_N_GROUPS = 8
_LOW_SWAPS = 0.05
_SHORT = 5.0


@dataclass(frozen=True)
class Convergence:
    """Statistics at each of K temperatures.

    Args:
        swap_acceptance: Mean acceptance of exchanges of neighbours, (K - 1,).
        n_round_trips: From the lowest temperature to the highest and back, over all ladders.
        inefficiency: Frames for one independent frame, by observable: the potential energy and,
            where there are torsions, the cosine, the sine and the side (above 0) of each; (K,)
            each.
        n_frames: Frames at each temperature, (K,).
        n_ladders: Ladders that have these frames together.
        mixing: Agreement of groups of ladders in all torsions, at each temperature.
        lengths: Length of the run in relaxation times of each torsion, along replicas, by name.
    """

    swap_acceptance: np.ndarray
    n_round_trips: float
    inefficiency: dict[str, np.ndarray]
    n_frames: np.ndarray
    n_ladders: int
    mixing: tuple[MixingReport, ...]
    lengths: dict[str, float]

    @property
    def slowest(self) -> np.ndarray:
        """Inefficiency of the slowest observable, (K,)."""
        return np.max(list(self.inefficiency.values()), axis=0)

    @property
    def n_independent(self) -> np.ndarray:
        """Independent frames at each temperature, by the slowest observable, (K,)."""
        return np.asarray(self.n_frames / self.slowest)

    @property
    def rhat(self) -> np.ndarray:
        """Largest R-hat of any torsion, (K,); 1 where there is none."""
        return np.array([max((t.rhat for t in m.torsions), default=1.0) for m in self.mixing])

    def warnings(self, temperatures: np.ndarray) -> list[str]:
        """What is wrong, one plain sentence each."""
        found = [
            f"At {t:g} K: {text}"
            for t, report in zip(temperatures, self.mixing, strict=True)
            for text in report.warnings
        ]
        found += [
            f"Torsion {name}: the replicas run for only {length:.1f} times as long as a rotamer "
            "takes to be entered and left, and remember where they started: take more --frames, "
            "and fewer --ladders."
            for name, length in self.lengths.items()
            if length < _SHORT
        ]
        found += [
            f"Only {100 * a:.1f} % of the exchanges between {low:g} and {high:g} K are accepted; "
            "take more temperatures."
            for a, low, high in zip(
                self.swap_acceptance, temperatures, temperatures[1:], strict=False
            )
            if a < _LOW_SWAPS
        ]
        length = self.n_frames / self.n_ladders / self.slowest
        if length.min() < _SHORT:
            found.append(
                f"At {temperatures[length.argmin()]:g} K a ladder is only {length.min():.1f} "
                "correlation times long, and remembers where it started: take more --frames, or "
                "fewer --ladders."
            )
        if self.n_round_trips < 1:
            found.append("No replica went from one end of the ladder to the other and back.")
        return found


def convergence(
    system: MolecularSystem, data: ReferenceSet, angles: AnglePair | None
) -> Convergence:
    """Measure it on the frames alone, whatever sampled them.

    Raises:
        ValueError: There are fewer than 4 frames of a ladder at each temperature.
    """
    rows = in_order(data)
    n_repeats, n_frames, n_states = rows.shape
    if n_frames < 4:
        raise ValueError(f"data: expected at least 4 frames of each ladder, got {n_frames}")
    mixing = tuple(
        check_mixing(
            system, data.x[rows[:, :, k]], n_groups=min(_N_GROUPS, n_repeats), follows=False
        )
        for k in range(n_states)
    )
    series = {"energy": data.potential[rows]}
    if angles is not None:
        for name, theta in zip(angles.names, angles.measure(data.x[rows]), strict=True):
            series |= {f"cos {name}": np.cos(theta), f"sin {name}": np.sin(theta)}
            series |= {f"side of {name}": (theta > 0).astype(np.float64)}
    return Convergence(
        swap_acceptance=_swap_acceptance(data.potential[rows], data.temperatures),
        n_round_trips=_round_trips(data.replica[rows]),
        inefficiency={
            name: np.array([statistical_inefficiency(values[:, :, k]) for k in range(n_states)])
            for name, values in series.items()
        },
        n_frames=np.full(n_states, n_repeats * n_frames),
        n_ladders=n_repeats,
        mixing=mixing,
        lengths=_lengths(system, data, rows),
    )


def _lengths(system: MolecularSystem, data: ReferenceSet, rows: np.ndarray) -> dict[str, float]:
    """Length in relaxation times of each torsion, along replicas; rows (R, N, K)."""
    followed = np.take_along_axis(rows, np.argsort(data.replica[rows], axis=2), axis=2)
    x = data.x[followed.transpose(0, 2, 1).reshape(-1, rows.shape[1])]
    return {t.name: t.length for t in check_mixing(system, x).torsions}


def _swap_acceptance(potential: np.ndarray, temperatures: np.ndarray) -> np.ndarray:
    """Mean of min(1, exp((b_k - b_k+1)(U_k - U_k+1))) over frames (R, N, K)."""
    beta = 1 / (GAS_CONSTANT * temperatures)
    exponent = (beta[:-1] - beta[1:]) * (potential[..., :-1] - potential[..., 1:])
    return np.asarray(np.exp(np.minimum(exponent, 0.0)).mean(axis=(0, 1)))


def _round_trips(replica: np.ndarray) -> float:
    """Round trips of replicas (R, N, K) over the ladder."""
    n_states = replica.shape[2]
    record = ExchangeRecord(n_states)
    none = torch.full((n_states - 1,), torch.nan)
    for now in torch.from_numpy(replica).transpose(0, 1):
        record.add(ExchangeInfo(inner=none, swap_acceptance=none, replica=now))
    return record.n_round_trips
