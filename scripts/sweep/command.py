"""The command line of a sweep: which model, where, and how."""

import argparse
import itertools
import math
from dataclasses import replace
from pathlib import Path

from pipeline.command_line import Parser, device, number_list, positive_count, seed
from pipeline.learning import usual_training
from sweep.cluster import add_cluster_arguments
from sweep.lattice import LatticeConfig
from sweep.settings import (
    OBJECTIVES,
    PRESETS,
    DataConfig,
    ObjectiveName,
    Preset,
    SweepConfig,
)
from systems.lattices import HoppingPhi4, Ising
from systems.lattices.geometry import MAX_DIMENSIONS, check_lattice

_COUPLINGS = {"phi4": ("kappa", "lambda"), "ising": ("T", "J", "h")}
_UNLESS_GIVEN = {"J": (1.0,), "h": (0.0,)}
_MOST_POINTS = 10_000
_BOUNDARY_SHARES = (0.3, 0.7)


def values_of(text: str) -> tuple[float, ...]:
    """Read "0.25" as one value, "0.22:0.32:0.005" as values from a first to a last in steps."""
    parts = text.split(":")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = [math.nan]
    if len(parts) not in (1, 3) or not all(math.isfinite(n) for n in numbers):
        raise argparse.ArgumentTypeError(
            f"expected a number or a range FIRST:LAST:STEP such as 0.22:0.32:0.005, got {text!r}"
        )
    if len(parts) == 1:
        return (numbers[0],)
    first, last, step = numbers
    if not (step > 0 and last > first):
        raise argparse.ArgumentTypeError(
            f"expected a range with FIRST below LAST and a STEP above 0, got {text!r}: it is empty"
        )
    n_steps = (last - first) / step
    if n_steps + 1 > _MOST_POINTS:
        raise argparse.ArgumentTypeError(f"expected at most {_MOST_POINTS} values, got {text!r}")
    n_whole = math.floor(n_steps * (1 + 1e-9) + 1e-9)
    found = tuple(round(first + i * step, 12) for i in range(n_whole + 1))
    if len(found) < 2:
        raise argparse.ArgumentTypeError(f"expected a STEP below LAST - FIRST, got {text!r}")
    return found


def lengths_of(text: str) -> tuple[int, ...]:
    """Read "8" or "8,8,16" as lengths of a lattice."""
    parts = text.split(",")
    if not all(part.isascii() and part.isdigit() and int(part) >= 2 for part in parts):
        raise argparse.ArgumentTypeError(
            f"expected a length of at least 2, or one for each dimension such as 8,16, got {text!r}"
        )
    return tuple(int(part) for part in parts)


def parser(description: str | None) -> argparse.ArgumentParser:
    """The command line."""
    options = Parser(description)
    add = options.add_argument
    add("--model", choices=sorted(_COUPLINGS), required=True,
        help="phi4: the scalar field in its hopping form; ising: spins")  # fmt: skip
    add("--L", type=lengths_of, required=True, metavar="L",
        help="length of the lattice, or lengths such as 8,16, one for each dimension")  # fmt: skip
    add("--dims", type=positive_count, metavar="D",
        help=f"dimensions of a lattice given by one length, 1 to {MAX_DIMENSIONS} "
        "(default 2)")  # fmt: skip
    group = options.add_argument_group(
        "couplings (a number, or a range FIRST:LAST:STEP for those that vary)"
    )
    for name, words in (
        ("kappa", "phi4: hopping parameter"), ("lambda", "phi4: quartic coupling"),
        ("T", "ising: temperature, k = 1"), ("J", "ising: coupling (default 1)"),
        ("h", "ising: field (default 0)"),
    ):  # fmt: skip
        group.add_argument(f"--{name}", type=values_of, metavar="VALUES", dest=name, help=words)
    add("--method", choices=("flow", "mc", "both"), default="both",
        help="what computes the points: a flow that depends on the couplings, Monte Carlo, or "
        "both, compared (default both)")  # fmt: skip
    _add_training(options)
    add_cluster_arguments(options)
    add("--quiet", action="store_true", help="no progress bars")
    return options


def _add_training(options: argparse.ArgumentParser) -> None:
    group = options.add_argument_group("flow")
    add = group.add_argument
    add("--objective", choices=OBJECTIVES,
        help="trade: data at the boundaries, carried along the coupling (default where one "
        "varies); backward-kl: the action alone; nll: the data alone; nll+backward-kl (default "
        "where two vary)")  # fmt: skip
    add("--boundary", type=number_list, metavar="VALUES",
        help="values of the coupling at which the flow is trained on Monte Carlo data (default: "
        "0.3 and 0.7 of the way along the range; of each, where two vary)")  # fmt: skip
    add(
        "--preset",
        choices=sorted(PRESETS),
        default="default",
        help="smoke: does it work; default: minutes for 8 x 8; long: for larger lattices",
    )
    add("--steps", type=positive_count, metavar="N", help="training steps (default: the preset's)")
    add("--flow", type=Path, metavar="DIR",
        help="take the trained flow of this run instead of training one")  # fmt: skip
    add("--start", type=Path, metavar="DIR",
        help="start training from the flow of this run, of a lattice of any size")  # fmt: skip
    add("--batch", type=positive_count, metavar="N",
        help="configurations of a training step (default: the preset's)")  # fmt: skip
    add("--reference", type=Path, metavar="DIR",
        help="take the Monte Carlo of this run, of the same model and points")  # fmt: skip
    add("--device", type=device, default="cpu",
        help="where the flow is trained: cpu, cuda, cuda:1 (default cpu)")  # fmt: skip
    general = options.add_argument_group("run")
    general.add_argument("--out", type=Path, metavar="DIR", help="run directory (default: in runs)")
    general.add_argument("--resume", action="store_true", help="go on with the run in --out")
    general.add_argument("--seed", type=seed, default=0, help="seed of everything (default 0)")


def configure(arguments: argparse.Namespace) -> SweepConfig:
    """All settings of the sweep.

    Raises:
        ValueError: The options do not go together; names the one to change.
    """
    lattice, values = _lattice(arguments)
    preset = PRESETS[arguments.preset]
    preset = replace(preset, batch_size=arguments.batch or preset.batch_size)
    usual: ObjectiveName = "trade" if len(values) == 1 else "nll+backward-kl"
    objective: ObjectiveName = arguments.objective or usual
    if arguments.method != "mc":
        _check_flow(lattice, values, objective)
    is_spin = lattice.kind == "ising"
    steps = arguments.steps or (preset.n_steps_of_spins if is_spin else preset.n_steps)
    flow = replace(preset.flow, transform="tanh-step" if is_spin else "sinh-arcsinh")
    return SweepConfig(
        lattice=lattice, values=values, method=arguments.method, preset=arguments.preset,
        seed=arguments.seed, flow=flow, learn=preset.learn(objective, steps),
        data=_data(arguments, values, preset), train=usual_training(steps, preset.learning_rate),
        monte_carlo=preset.monte_carlo, evaluation=preset.evaluation,
        start=_absolute(arguments.start), flow_of=_absolute(arguments.flow),
        reference_of=_absolute(arguments.reference),
    )  # fmt: skip


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else path.absolute()


def _lattice(
    arguments: argparse.Namespace,
) -> tuple[LatticeConfig, tuple[tuple[float, ...], ...]]:
    kind: str = arguments.model
    foreign = [n for k, names in _COUPLINGS.items() if k != kind for n in names]
    given = [name for name in foreign if getattr(arguments, name) is not None]
    if given:
        raise ValueError(f"--{given[0]}: {kind} has no such coupling, only "
                         f"{', '.join('--' + n for n in _COUPLINGS[kind])}")  # fmt: skip
    found: dict[str, tuple[float, ...]] = {}
    for name in _COUPLINGS[kind]:
        value = getattr(arguments, name) or _UNLESS_GIVEN.get(name)
        if value is None:
            raise ValueError(f"--{name}: expected a value or a range FIRST:LAST:STEP, got nothing")
        found[name] = value
    controls = tuple(name for name, value in found.items() if len(value) > 1)
    if not 1 <= len(controls) <= 2:
        raise ValueError(
            f"--{_COUPLINGS[kind][0]}: expected a range for one coupling or for two, got "
            f"{len(controls)}"
        )
    n_points = math.prod(len(value) for value in found.values())
    if n_points > _MOST_POINTS:
        raise ValueError(f"--{controls[0]}: expected at most {_MOST_POINTS} points, got {n_points}")
    fixed = {name: value[0] for name, value in found.items() if len(value) == 1}
    config = LatticeConfig(
        kind="phi4" if kind == "phi4" else "ising", shape=_shape(arguments), controls=controls,
        fixed_names=tuple(fixed), fixed_values=tuple(fixed.values()),
    )  # fmt: skip
    _check_couplings(config, found)
    return config, tuple(found[name] for name in controls)


def _shape(arguments: argparse.Namespace) -> tuple[int, ...]:
    lengths: tuple[int, ...] = arguments.L
    if len(lengths) > 1 and arguments.dims is not None and arguments.dims != len(lengths):
        raise ValueError(f"--dims: expected {len(lengths)}, as many as --L has lengths")
    n_dims = arguments.dims or (2 if len(lengths) == 1 else len(lengths))
    if n_dims > MAX_DIMENSIONS:
        raise ValueError(f"--dims: expected 1 to {MAX_DIMENSIONS}, got {n_dims}")
    return check_lattice(lengths * n_dims if len(lengths) == 1 else lengths)


def _check_couplings(config: LatticeConfig, found: dict[str, tuple[float, ...]]) -> None:
    """See that the action is bounded, at the ends of all ranges."""
    target = (HoppingPhi4 if config.kind == "phi4" else Ising)(config.shape, {})
    ends = [{found[name][0], found[name][-1]} for name in target.coupling_names]
    for corner in itertools.product(*ends):
        target.check_couplings(dict(zip(target.coupling_names, corner, strict=True)))


def _check_flow(
    lattice: LatticeConfig, values: tuple[tuple[float, ...], ...], objective: str
) -> None:
    if any(n % 2 for n in lattice.shape):
        raise ValueError(
            f"--L: expected even lengths, as the checkerboard of the flow needs them, got "
            f"{lattice.shape}; --method mc takes any"
        )
    if lattice.kind == "ising" and (lattice.fixed.get("h", 1.0) != 0 or "h" in lattice.controls):
        raise ValueError(
            "--h: expected 0 for a flow, which is exactly symmetric; --method mc takes any"
        )
    if lattice.kind == "ising":
        at = dict(zip(lattice.controls, values, strict=True))
        found = at.get("J", (lattice.fixed.get("J", 1.0),))
        below, above = found[0], found[-1]
        if not below * above > 0:
            raise ValueError(
                f"--J: expected values of one sign for a flow, got {below:g} to {above:g}; "
                "--method mc takes any"
            )
    if objective == "trade" and len(values) > 1:
        raise ValueError("--objective: trade follows one coupling, expected another where two vary")
    if objective == "trade" and values[0][0] <= 0:
        raise ValueError(
            f"--{lattice.controls[0]}: expected values above 0 for --objective trade, got "
            f"{values[0][0]}"
        )


def _data(
    arguments: argparse.Namespace, values: tuple[tuple[float, ...], ...], preset: Preset
) -> DataConfig:
    if arguments.boundary is not None and len(values) > 1:
        raise ValueError("--boundary: expected none where two couplings vary, got some")
    if arguments.boundary is not None:
        low, high = values[0][0], values[0][-1]
        outside = [v for v in arguments.boundary if not low <= v <= high]
        if outside or len(set(arguments.boundary)) != len(arguments.boundary):
            raise ValueError(
                f"--boundary: expected different values from {low:g} to {high:g}, got "
                f"{', '.join(f'{v:g}' for v in arguments.boundary)}"
            )
        boundaries: tuple[tuple[float, ...], ...]
        boundaries = tuple((v,) for v in sorted(arguments.boundary))
    else:
        inner = [
            [round(own[0] + s * (own[-1] - own[0]), 12) for s in _BOUNDARY_SHARES] for own in values
        ]
        boundaries = tuple(tuple(at) for at in itertools.product(*inner))
    return DataConfig(boundaries=boundaries, n_chains=preset.n_chains, n_kept=preset.n_kept)
