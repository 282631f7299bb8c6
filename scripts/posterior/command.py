"""The command line of scripts/temper_posterior.py, and the settings that it means."""

import argparse
import hashlib
import importlib.util
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from pipeline.command_line import Parser, device, number_list, positive_count, sample_count, seed
from pipeline.learning import usual_training
from posterior.chains import first_draws
from posterior.models import SHIPPED
from posterior.random import stream_for
from posterior.settings import OBJECTIVES, PRESETS, ObjectiveName, PosteriorConfig, Preset
from systems.posteriors import Bridge, Posterior

_N_PROBED = 2000
_OF_ARVIZ = ("arviz", "h5netcdf")
_OFFSETS = (1e-6, 0.1)
_MOST_BINS = 400


def power_range(text: str) -> tuple[float, float]:
    """Read "0.4:2.1", or one number."""
    parts = text.split(":")
    try:
        values = [float(part) for part in parts]
    except ValueError:
        values = []
    good = all(math.isfinite(v) and v >= 0 for v in values) and len(values) in (1, 2)
    if not good or values[0] > values[-1] or values[-1] == 0:
        raise argparse.ArgumentTypeError(
            f"expected LOW:HIGH with 0 <= LOW <= HIGH and HIGH above 0, got {text!r}"
        )
    return values[0], values[-1]


def points(text: str) -> tuple[int, int]:
    """Read "16x32"."""
    parts = text.split("x")
    numbers = [int(part) for part in parts if part.isdecimal()]
    if len(parts) != 2 or len(numbers) != 2 or numbers[0] < 1 or numbers[1] < 2:
        raise argparse.ArgumentTypeError(
            f"expected POWERSxSAMPLES, such as 16x32, with two samples or more, got {text!r}"
        )
    return numbers[0], numbers[1]


def bin_count(text: str) -> int:
    """Read a number of bins of a spline."""
    count = positive_count(text)
    if not 2 <= count <= _MOST_BINS:
        raise argparse.ArgumentTypeError(f"expected 2 to {_MOST_BINS}, got {text!r}")
    return count


def parser(description: str | None) -> argparse.ArgumentParser:
    """The command line."""
    options = Parser(description)
    add = options.add_argument
    add("--model", required=True, metavar="MODEL",
        help=f"{', '.join(SHIPPED)}; or file.py:name, a Posterior of your own")  # fmt: skip
    add("--beta", type=power_range, required=True, metavar="LOW:HIGH",
        help="range of powers of the likelihood; 0 is the prior, 1 the posterior")  # fmt: skip
    add("--observe", type=number_list, metavar="NUMBERS",
        help="observation of pictures and evidence, where the model has it as a control "
        "(default: simulated)")  # fmt: skip
    add("--objective", choices=OBJECTIVES,
        help="simulations: pairs of parameters and data (default where y is a control); prior: "
        "draws of the prior (default elsewhere, if there are any); draws: draws at beta = 1 by "
        "replica exchange; backward-kl: the energy alone")  # fmt: skip
    add("--chains", action="store_true",
        help="run replica exchange to compare with, also where it is no data")  # fmt: skip
    add("--preset", choices=sorted(PRESETS), default="default",
        help="smoke: does it work; default: minutes; long: four times the steps")  # fmt: skip
    add("--steps", type=positive_count, metavar="N", help="training steps (default: the preset's)")
    add("--bins", type=bin_count, metavar="N",
        help="bins of the splines (default: the preset's); fewer where parameters are many and "
        "draws few, since more learn the draws by heart")  # fmt: skip
    add("--points", type=points, metavar="POWERSxSAMPLES",
        help="of a training step, where TRADE looks (default 32x8); more samples at each power "
        "are less noise, which matters with many parameters")  # fmt: skip
    add("--samples", type=sample_count, metavar="N",
        help="samples of the flow at each power (default: the preset's)")  # fmt: skip
    add("--device", type=device, default="cpu",
        help="where the flow is trained: cpu, cuda, cuda:1 (default cpu)")  # fmt: skip
    add("--arviz", action="store_true",
        help="write for ArviZ posterior.nc, draws at the power nearest to 1 with their weights, "
        "and chains.nc, unweighted chains; needs the extra posteriors")  # fmt: skip
    add("--out", type=Path, metavar="DIR", help="run directory (default: in runs)")
    add("--resume", action="store_true", help="go on with the run in --out")
    add("--seed", type=seed, default=0, help="seed of everything (default 0)")
    add("--quiet", action="store_true", help="no progress bars")
    return options


def configure(arguments: argparse.Namespace, posterior: Posterior) -> PosteriorConfig:
    """All settings of the run.

    Raises:
        ValueError: The options do not fit the model or each other; names the one to change.
    """
    low, high = arguments.beta
    objective: ObjectiveName = arguments.objective or _usual(posterior)
    _check_objective(objective, posterior, low, high)
    if arguments.chains and posterior.observed:
        raise ValueError("--chains: expected a model whose only control is beta")
    if isinstance(posterior, Bridge) and high > 1:
        raise ValueError(f"--beta: bridges end at 1, expected HIGH of at most that, got {high:g}")
    if arguments.arviz:
        missing = [name for name in _OF_ARVIZ if importlib.util.find_spec(name) is None]
        if missing:
            raise ValueError(
                f"--arviz: needs {' and '.join(missing)}: pip install 'boltzgen-flows[posteriors]'"
            )
    if arguments.points and objective == "backward-kl":
        raise ValueError("--points: backward-kl has no such points")
    if arguments.chains or objective in ("draws", "backward-kl"):
        _require_gradient(posterior, "--chains" if arguments.chains else f"--objective {objective}")
    preset: Preset = PRESETS[arguments.preset]
    steps = arguments.steps or preset.n_steps
    offset = 0.0
    if low == 0 or objective == "prior":
        offset = prior_offset(posterior, arguments.seed)
    learn = preset.learn(objective, steps, offset)
    if arguments.points:
        learn = replace(learn, n_controls=arguments.points[0], n_samples=arguments.points[1])
    return PosteriorConfig(
        model=arguments.model, model_hash=_hash(arguments.model), low=low, high=high,
        observation=_observation(arguments.observe, posterior, arguments.seed),
        preset=arguments.preset, seed=arguments.seed,
        flow=replace(preset.flow, n_bins=arguments.bins or preset.flow.n_bins),
        learn=learn,
        train=usual_training(steps, preset.learning_rate),
        chains=preset.chains, with_chains=arguments.chains or objective == "draws",
        evaluation=replace(
            preset.evaluation, n_samples=arguments.samples or preset.evaluation.n_samples
        ),
    )  # fmt: skip


def _hash(model: str) -> str:
    """Of the file that a model of one's own is in, so that a run is not mixed from two models."""
    path, found, _ = model.rpartition(":")
    if not (found and path.endswith(".py")):
        return ""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _usual(posterior: Posterior) -> ObjectiveName:
    if posterior.observed:
        return "simulations"
    return "prior" if posterior.can_sample_prior else "draws"


def _check_objective(
    objective: ObjectiveName, posterior: Posterior, low: float, high: float
) -> None:
    needs_prior = objective in ("simulations", "prior", "backward-kl")
    if needs_prior and not posterior.can_sample_prior:
        raise ValueError(
            f"--objective: {objective} needs a posterior with sample_prior; draws does not"
        )
    if objective == "simulations" and not (posterior.observed and posterior.can_simulate):
        raise ValueError(
            "--objective: simulations need a posterior with observed and simulate, whose data are "
            "a control"
        )
    if posterior.observed and objective in ("prior", "draws"):
        raise ValueError(
            f"--objective: {objective} needs a posterior whose only control is beta; observe() "
            "makes one"
        )
    if objective in ("simulations", "draws") and not low <= 1 <= high:
        raise ValueError(f"--beta: {objective} are at 1, expected a range that holds it, got "
                         f"{low:g}:{high:g}")  # fmt: skip


def _require_gradient(posterior: Posterior, option: str) -> None:
    """Require a likelihood that autograd can differentiate."""
    x = first_draws(posterior, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
    y = torch.zeros(2, len(posterior.observed), dtype=x.dtype) if posterior.observed else None
    why = f"{option} differentiates it, expected operations of torch on its parameters"
    try:
        found = posterior.log_likelihood(x, y)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"log_likelihood: {why}; they fail: {error}") from error
    if not found.requires_grad:
        raise ValueError(f"log_likelihood: {why}, got a value that does not depend on them")


def _observation(
    given: tuple[float, ...] | None, posterior: Posterior, run_seed: int
) -> tuple[float, ...]:
    n = len(posterior.observed)
    if given is not None:
        if len(given) != n:
            raise ValueError(f"--observe: expected {n} numbers, as the model has, got {len(given)}")
        return given
    if n == 0:
        return ()
    stream = stream_for("observed", run_seed)
    x = posterior.sample_prior(1, generator=stream)
    return tuple(float(v) for v in posterior.simulate(x, generator=stream)[0])


def prior_offset(posterior: Posterior, run_seed: int) -> float:
    """Power below which the likelihood hardly matters: one over the spread of log L a priori.

    The spread is that between the quartiles.
    """
    stream = stream_for("offset", run_seed)
    x = first_draws(posterior, _N_PROBED, generator=stream)
    y = None
    if posterior.observed:
        y = posterior.simulate(x, generator=stream).double()[
            torch.randperm(_N_PROBED, generator=stream)
        ]
    found = posterior.log_likelihood(x, y).detach().numpy()
    if not np.isfinite(found).any():
        raise ValueError(f"log_likelihood: -inf at all of {_N_PROBED} draws of the prior")
    low, high = np.quantile(found[np.isfinite(found)], [0.25, 0.75])
    return float(f"{np.clip(1 / max(high - low, 1e-12), *_OFFSETS):.3g}")
