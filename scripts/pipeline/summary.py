"""summary.json, and the tables on the terminal."""

import platform
from importlib.metadata import version

import numpy as np

import boltzgen
from boltzgen.estimators import ALANINE_BASINS, Estimate, describe_khat, normalise, reliable
from pipeline.console import print_table
from pipeline.evaluation import AtTemperature, Evaluation
from pipeline.reference import Agreement
from pipeline.settings import RunConfig
from pipeline.trust import misses

_UNITS = {
    "T": "K",
    "free_energy": "kT, relative to the first T",
    "elbo": "nats, in the chart",
    "F": "kJ/mol, in the chart",
    "U": "kJ/mol",
    "S": "kJ/(mol K), in the chart",
    "C_v": "kJ/(mol K)",
}
_UNCERTAIN = 1.0
"""Nats of error from which on a bound on the evidence says little."""
_LEAST_P, _LARGEST_Z = 0.01, 4.0
"""Chi-square p and z-score of a bin beyond which a profile counts as different."""
_LARGEST_SHARE = 1e-3
_PACKAGES = ("torch", "openmm", "numpy", "pymbar", "mdtraj")


def versions() -> dict[str, str]:
    """Versions of the software that decided the numbers."""
    found = {"boltzgen-flows": boltzgen.__version__, "python": platform.python_version()}
    return found | {name: version(name) for name in _PACKAGES}


def summarise(
    config: RunConfig, evaluation: Evaluation, agreement: Agreement | None
) -> dict[str, object]:
    """Everything measured, as plain numbers; null where it is unknown."""
    summary: dict[str, object] = {
        "system": config.system,
        "system_hash": config.system_hash,
        "preset": config.preset,
        "seed": config.seed,
        "T": evaluation.temperatures.tolist(),
        "n_samples": config.evaluation.n_samples,
        **_weights(evaluation.points),
        **_free_energies(evaluation),
        "basins": _basins(evaluation.points),
        "units": _UNITS,
        "versions": versions(),
    }
    if agreement is not None:
        summary["reference"] = describe_agreement(agreement)
    return summary


def _weights(points: tuple[AtTemperature, ...]) -> dict[str, object]:
    return {
        "ess_reverse": [p.ess_reverse.value for p in points],
        "ess_reverse_error": [p.ess_reverse.error for p in points],
        "ess_forward": [_value(p.ess_forward) for p in points],
        "ess_forward_error": [_error(p.ess_forward) for p in points],
        "ess_forward_frames": [p.frames for p in points],
        "frames_outside_chart": [p.n_outside for p in points],
        "frames_without_density": [p.n_lost for p in points],
        "khat": [_finite(p.khat) for p in points],
        "khat_words": [describe_khat(p.khat) for p in points],
        "elbo": [_finite(p.elbo.value) for p in points],
        "elbo_error": [_finite(p.elbo.error) for p in points],
        "eubo": [_value(p.eubo) for p in points],
        "eubo_error": [_error(p.eubo) for p in points],
        "eubo_minus_elbo": [_value(p.gap) for p in points],
        "eubo_minus_elbo_error": [_error(p.gap) for p in points],
    }


def _free_energies(evaluation: Evaluation) -> dict[str, object]:
    thermo = evaluation.thermodynamics
    return {
        "free_energy": evaluation.free.f_k.tolist(),
        "free_energy_error": evaluation.free_energy_errors.tolist(),
        "free_energy_error_asymptotic": evaluation.free.errors.tolist(),
        "free_energy_error_bootstrap": evaluation.free.bootstrap_errors.tolist(),
        "free_energy_mixture": evaluation.mixture.f_k.tolist(),
        "free_energy_mixture_error": evaluation.mixture.bootstrap_errors.tolist(),
        "mbar_effective_samples": evaluation.free.n_effective.tolist(),
        "F": thermo.free_energy.tolist(),
        "F_error": thermo.free_energy_errors.tolist(),
        "U": thermo.energy.tolist(),
        "U_error": thermo.energy_errors.tolist(),
        "S": thermo.entropy.tolist(),
        "S_error": thermo.entropy_errors.tolist(),
        "C_v": thermo.heat_capacity.tolist(),
        "C_v_error": thermo.heat_capacity_errors.tolist(),
    }


def describe_agreement(agreement: Agreement) -> dict[str, object]:
    """The reference and the distance of the model from it, as plain numbers."""
    free = agreement.free
    return {
        "T": free.temperatures.tolist(),
        "free_energy": free.free_energy.tolist(),
        "free_energy_error": free.error.tolist(),
        "U": free.potential.tolist(),
        "U_error": free.potential_error.tolist(),
        "energy_calls": agreement.n_energy_calls,
        "complete": agreement.complete,
        "z_free_energy": agreement.z_free_energy,
        "profiles": {
            f"{temperature:g}": {
                "largest_z": float(np.nanmax(np.abs(found.z))),
                "p_value": found.p_value,
                "n_bins": found.n_compared,
            }
            for temperature, found in agreement.comparisons.items()
        },
    }


def weight_above(evaluation: Evaluation, cap: float) -> list[float]:
    """Share of the weight at each temperature on samples whose energy training did not see."""
    return [
        float(normalise(p.samples.log_w)[~(p.samples.potential <= cap)].sum())
        for p in evaluation.points
    ]


def _warnings_above(evaluation: Evaluation, shares: list[float]) -> list[str]:
    """Where the cap of training touched more of the weight than it should."""
    return [
        f"At {p.temperature:g} K {100 * share:.2g} % of the weight lies above --energy-cap: the "
        "model was trained on another energy there."
        for p, share in zip(evaluation.points, shares, strict=True)
        if share > _LARGEST_SHARE
    ]


def warnings_of(
    evaluation: Evaluation,
    agreement: Agreement | None,
    data: tuple[str, ...],
    above_cap: list[float] | None,
) -> list[str]:
    """What must not be trusted, one plain sentence each."""
    found = [f"Training data: {text}" for text in data]
    found += [] if above_cap is None else _warnings_above(evaluation, above_cap)
    for point in evaluation.points:
        found += _warnings_at(point)
    if agreement is not None:
        found += [
            f"The profiles at {t:g} K were not compared: {why}."
            for t, why in agreement.too_few.items()
        ]
        found += [
            f"The torsion profile at {t:g} K differs from the reference: chi-square p = "
            f"{one.p_value:.2g}, largest |z| of a bin {np.nanmax(np.abs(one.z)):.1f}."
            for t, one in agreement.comparisons.items()
            if one.p_value < _LEAST_P or np.nanmax(np.abs(one.z)) > _LARGEST_Z
        ]
    if agreement is not None and agreement.z_free_energy is not None:
        if abs(agreement.z_free_energy) > 3:
            found.append(
                f"The free energy differs from the reference by {agreement.z_free_energy:.1f} "
                "standard errors."
            )
    return found


def _warnings_at(point: AtTemperature) -> list[str]:
    """What must not be trusted at one temperature."""
    found = []
    at = f"{point.temperature:g} K"
    if not reliable(point.khat):
        found.append(f"k-hat is {point.khat:.2f} at {at}: {describe_khat(point.khat)}.")
    if point.n_outside:
        found.append(
            f"{point.n_outside} frames of {point.frames} at {at} lie outside the chart (the "
            "other hand of a centre, a methyl group inside out); the model has no density "
            "there."
        )
    if point.n_lost:
        found.append(
            f"At {point.n_lost} frames of {point.frames} at {at} no latent was found: the model "
            "has no density there, and the forward ESS is 0."
        )
    elif misses(point):
        found.append(
            f"At {at} the forward ESS is below a fifth of the reverse ESS: the model misses "
            "part of what the simulation visits."
        )
    if point.elbo.error > _UNCERTAIN:
        found.append(
            f"The ELBO at {at} is uncertain by {point.elbo.error:.1f} nats: a few samples of "
            "the model have next to no weight; weighted averages do not suffer from that."
        )
    return found


def print_results(evaluation: Evaluation, agreement: Agreement | None) -> None:
    """Print the final table."""
    thermo = evaluation.thermodynamics
    rows = [
        [
            f"{point.temperature:g}",
            _short(point.ess_reverse, 100.0, 1),
            _short(point.ess_forward, 100.0, 1),
            f"{point.khat:.2f}",
            _short(Estimate(evaluation.free.f_k[i], evaluation.free_energy_errors[i]), 1.0, 3),
            _short(Estimate(thermo.energy[i], thermo.energy_errors[i]), 1.0, 2),
            _short(Estimate(thermo.heat_capacity[i], thermo.heat_capacity_errors[i]), 1e3, 0),
        ]
        for i, point in enumerate(evaluation.points)
    ]
    columns = ["T/K", "ESS/N %", "forward %", "k-hat", "F/kT", "U kJ/mol", "C_v J/molK"]
    print_table("Estimates; F is -log Z relative to the first T", columns, rows)
    if agreement is not None and agreement.comparisons:
        print_agreement(agreement)


def _short(estimate: Estimate | None, scale: float, digits: int) -> str:
    if estimate is None:
        return "-"
    error = f"±{scale * estimate.error:.{digits}f}" if np.isfinite(estimate.error) else "±?"
    return f"{scale * estimate.value:.{digits}f}{error}"


def print_agreement(agreement: Agreement) -> None:
    """Print how the model compares with the reference."""
    rows = [
        [f"{t:g}", f"{float(np.nanmax(np.abs(c.z))):.1f}", f"{c.p_value:.3f}"]
        for t, c in agreement.comparisons.items()
    ]
    z = agreement.z_free_energy
    title = "Against the reference" + ("" if z is None else f"; F(high) - F(low): z = {z:+.1f}")
    print_table(title, ["T / K", "largest |z| of a bin", "chi-square p"], rows)


def percent(value: Estimate | None) -> str:
    """An estimate in per cent, or a dash."""
    if value is None:
        return "-"
    error = f"{100 * value.error:.1f}" if np.isfinite(value.error) else "?"
    return f"{100 * value.value:.1f} ± {error} %"


def _value(estimate: Estimate | None) -> float | None:
    return None if estimate is None else _finite(estimate.value)


def _error(estimate: Estimate | None) -> float | None:
    return None if estimate is None else _finite(estimate.error)


def _finite(value: float) -> float | None:
    """JSON has no infinities: null stands for them; `khat_words` says what they mean."""
    return value if np.isfinite(value) else None


def _basins(points: tuple[AtTemperature, ...]) -> dict[str, object] | None:
    found = [point.torsions.basins for point in points]
    if any(basins is None for basins in found):
        return None
    return {
        basin.name: {
            "population": [float(b.values[i]) for b in found if b is not None],
            "error": [float(b.errors[i]) for b in found if b is not None],
        }
        for i, basin in enumerate(ALANINE_BASINS)
    }
