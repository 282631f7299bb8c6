"""Time free-form flows: a training step, its growth with D and K, and samples beside a CNF's.

    python scripts/bench_free_form.py --json free_form.json
    python scripts/bench_free_form.py --run runs/dw4_seed0 --json free_form.json

Steps are forward and backward passes, the optimiser left out, of the same networks as a plain
autoencoder and as a free-form flow, in turn (A B A B) in one process; medians and their ratio are
reported. With --run, a run of train_particles.py, its flow is compared with a continuous
normalising flow of the same graph network, trained by flow matching on the same data for as long as
the run took and sampled by torchdiffeq with adaptive steps (extra bench): seconds of samples alone,
of samples with their density, and the effective sample size of both.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: idle threads must not spin

import torch
from numpy.random import default_rng
from torch import Generator

from boltzgen.errors import CorruptFileError, NonFiniteError
from boltzgen.estimators import reverse_ess
from boltzgen.flows.free_form import FreeFormFlow
from boltzgen.random import spawn
from boltzgen.storage import write_json
from free_form_bench.continuous import (
    ContinuousFlow,
    new_continuous,
    require_torchdiffeq,
    train_continuous,
)
from free_form_bench.steps import DENSITY, batch_for, dense_flow, graph_flow, step_passes
from particles.evaluation import reported_temperatures
from particles.model import Trained, read_flow
from particles.reference import run_reference, rungs_of
from particles.settings import ParticleConfig
from particles.systems import SYSTEMS
from pipeline.command_line import Parser, positive_count, positive_number, sample_count
from pipeline.console import print_table
from pipeline.numbers import percentage
from pipeline.run_folder import RunFolder
from pipeline.timing import median_seconds
from systems.cache import CorruptCacheError, default_cache_dir
from systems.ledger import EnergyLedger
from systems.particles import ParticleCluster

EXPECTED = (
    ValueError, OSError, ImportError, NonFiniteError, CorruptFileError, CorruptCacheError,
)  # fmt: skip
_LIKE = torch.zeros(1)
_N_DENSITY = 200
_LARGE, _FEWER = 100, 16
FlowMaker = Callable[[], FreeFormFlow]


CASES: tuple[tuple[str, int, FlowMaker, tuple[int, ...]], ...] = (
    ("graph", 8, partial(graph_flow, 4, 2, n_hidden=32, n_layers=8), (1, 2, 6)),
    ("graph", 39, partial(graph_flow, 13, 3, n_hidden=32, n_layers=6), (1, 2, 4)),
    ("graph", 39, partial(graph_flow, 13, 3, n_hidden=64, n_layers=4), (1,)),
    ("graph", 165, partial(graph_flow, 55, 3, n_hidden=32, n_layers=4), (1,)),
    ("dense", 10, partial(dense_flow, 10, n_hidden=256, n_blocks=3), (1, 2, 10)),
    ("dense", 60, partial(dense_flow, 60, n_hidden=256, n_blocks=3), (1, 2, 4, 8)),
    ("dense", 250, partial(dense_flow, 250, n_hidden=256, n_blocks=3), (1,)),
)
"""Kind of network, D, how to build the flow, numbers of probes."""


def time_steps(repeats: int, batch_size: int) -> list[dict[str, object]]:
    """Steps of graph and dense networks over D and K; large graphs have a smaller batch."""
    generator = Generator().manual_seed(0)
    records = []
    for kind, n_features, make, probes in CASES:
        flow = make()
        large = kind == "graph" and n_features > _LARGE
        n = max(2, batch_size // _FEWER) if large else batch_size
        batch = batch_for(flow, n, generator=generator)
        passes = step_passes(flow, batch, probes, generator=generator)
        if large:
            passes.pop(DENSITY)  # a second for each sample
        found = median_seconds(passes, repeats=repeats)
        records += [
            {
                "network": kind, "D": n_features, "batch": n, "what": name, "ms": 1e3 * seconds,
                "ratio": seconds / found["autoencoder"],
                "n_parameters": sum(p.numel() for p in flow.parameters()),
            }
            for name, seconds in found.items()
        ]  # fmt: skip
    return records


def compare_sampling(arguments: argparse.Namespace) -> dict[str, object]:
    """The flow of a run beside a continuous one."""
    require_torchdiffeq()
    folder = RunFolder(arguments.run, ParticleConfig)
    config = folder.load_config()
    trained = read_flow(folder, config)
    cluster = SYSTEMS[config.system].build()
    rungs = rungs_of(config.chains, reported_temperatures(config))
    ladders = run_reference(
        arguments.cache,
        config.system,
        config.chains,
        rungs,
        ledger=EnergyLedger(),
        show_progress=True,
    )
    x = torch.from_numpy(ladders.to_learn(config.learn.at)).flatten(0, 1).float()
    weights, training, drawing = spawn(Generator().manual_seed(config.seed), 3)
    n_particles, n_dims = cluster.event_shape
    other = new_continuous(
        n_particles, n_dims, n_hidden=config.network.n_hidden, n_layers=config.network.n_layers,
        length=trained.length, generator=weights,
    )  # fmt: skip
    seconds = arguments.seconds or trained.seconds
    n_steps = train_continuous(
        other, x, seconds=seconds, batch_size=config.learn.batch_size,
        learning_rate=config.train.learning_rate, generator=training,
    )  # fmt: skip
    found = _time_samples(trained, other, config, arguments, drawing)
    ess = _shares(trained, other, cluster, config, arguments, drawing)
    return {
        "system": config.system, "T": config.learn.at, "training_seconds": trained.seconds,
        "cnf_training_seconds": seconds, "cnf_steps": n_steps, **found, **ess,
    }  # fmt: skip


def _time_samples(
    trained: Trained,
    other: ContinuousFlow,
    config: ParticleConfig,
    arguments: argparse.Namespace,
    drawing: Generator,
) -> dict[str, object]:
    """Seconds of samples alone and of samples with their density, float32 both."""
    flow = trained.flow.float()
    c = torch.full((arguments.samples, 1), config.learn.at)
    few = c[:_N_DENSITY]
    other.n_calls = 0
    other.sample(len(c), generator=drawing, like=_LIKE)
    n_calls = other.n_calls

    def ours_alone() -> None:
        with torch.no_grad():
            flow.sample(c, generator=drawing)

    def ours_with_density() -> None:
        with torch.no_grad():
            flow.sample_and_log_prob(few, generator=drawing)

    alone = median_seconds(
        {
            "free-form": ours_alone,
            "cnf": lambda: other.sample(len(c), generator=drawing, like=_LIKE),
        },
        repeats=arguments.repeats,
    )  # fmt: skip
    weighted = median_seconds(
        {
            "free-form": ours_with_density,
            "cnf": lambda: other.sample_and_log_prob(len(few), generator=drawing, like=_LIKE),
        },
        repeats=max(2, arguments.repeats // 3),
    )  # fmt: skip
    trained.flow.double()
    return {
        "n_samples": len(c), "cnf_calls": n_calls,
        "ms_alone": 1e3 * alone["free-form"], "cnf_ms_alone": 1e3 * alone["cnf"],
        "ratio_alone": alone["cnf"] / alone["free-form"], "n_with_density": len(few),
        "ms_with_density": 1e3 * weighted["free-form"],
        "cnf_ms_with_density": 1e3 * weighted["cnf"],
        "ratio_with_density": weighted["cnf"] / weighted["free-form"],
    }  # fmt: skip


def _shares(
    trained: Trained,
    other: ContinuousFlow,
    cluster: ParticleCluster,
    config: ParticleConfig,
    arguments: argparse.Namespace,
    drawing: Generator,
) -> dict[str, object]:
    """Effective sample sizes of both at the temperature of the data."""
    c = torch.full((arguments.weighted, 1), config.learn.at, dtype=torch.float64)
    with torch.no_grad():
        ours = trained.flow.sample_and_log_prob(c, generator=drawing)
    theirs = other.sample_and_log_prob(len(c), generator=drawing, like=_LIKE)
    found: dict[str, object] = {}
    for name, (x, log_q) in (("ess", ours), ("cnf_ess", theirs)):
        log_w = (-cluster.energy(x.double(), config.learn.at) - log_q.double()).numpy()
        share = reverse_ess(log_w, rng=default_rng(0))
        found |= {name: share.value, f"{name}_error": share.error}
    return found


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = Parser(__doc__)
    add = options.add_argument
    add("--run", type=Path, metavar="RUN", help="run directory of train_particles.py")
    add("--seconds", type=positive_number, metavar="S",
        help="of flow matching (default: as long as the run took)")  # fmt: skip
    add("--samples", type=sample_count, default=1000, metavar="N",
        help="samples that are timed (default 1000)")  # fmt: skip
    add("--weighted", type=sample_count, default=1000, metavar="N",
        help="weighted samples of the effective sample size (default 1000)")  # fmt: skip
    add("--batch", type=positive_count, default=256, metavar="N",
        help="batch of the steps, less for the largest graphs (default 256)")  # fmt: skip
    add("--repeats", type=positive_count, default=9, help="timed rounds (default 9)")
    add("--threads", type=positive_count, default=1, help="threads (default 1)")
    add("--cache", type=Path, default=default_cache_dir(), metavar="DIR",
        help="of references (default: $BOLTZGEN_CACHE or ~/.cache/boltzgen)")  # fmt: skip
    add("--json", type=Path, metavar="FILE", help="also write the numbers there")
    return options


def print_steps(records: list[dict[str, object]]) -> None:
    """The table of steps."""
    rows = [
        [str(r["network"]), str(r["D"]), str(r["batch"]), str(r["what"]),
         f"{r['ms']:.1f}", f"{r['ratio']:.2f}"]
        for r in records
    ]  # fmt: skip
    header = ["network", "D", "batch", "what", "ms", "/ autoencoder"]
    print_table("Forward and backward pass", header, rows)


def print_sampling(found: dict[str, Any]) -> None:
    """The table of samples."""
    shares = [percentage(found[name], found[f"{name}_error"]) for name in ("ess", "cnf_ess")]
    rows = [
        ["free-form", f"{found['ms_alone']:.1f}", f"{found['ms_with_density']:.0f}", shares[0]],
        ["CNF", f"{found['cnf_ms_alone']:.1f}", f"{found['cnf_ms_with_density']:.0f}", shares[1]],
        ["ratio", f"{found['ratio_alone']:.1f}", f"{found['ratio_with_density']:.1f}", ""],
    ]
    header = [
        "", f"{found['n_samples']} samples / ms",
        f"{found['n_with_density']} with density / ms", "ESS/N / %",
    ]  # fmt: skip
    print_table(f"{found['system']} at T = {found['T']}", header, rows)


def main() -> int:
    """Measure and print."""
    arguments = parser().parse_args()
    torch.set_num_threads(arguments.threads)
    started = time.monotonic()
    try:
        if arguments.run is not None:
            sampling: dict[str, object] | None = compare_sampling(arguments)
        else:
            sampling = None
        steps = time_steps(arguments.repeats, arguments.batch)
        print_steps(steps)
        if sampling is not None:
            print_sampling(sampling)
        if arguments.json is not None:
            write_json(arguments.json, {"steps": steps, "sampling": sampling})
    except EXPECTED as error:
        print(f"bench_free_form: {error}", file=sys.stderr)
        return 1
    print(f"{(time.monotonic() - started) / 60:.1f} minutes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
