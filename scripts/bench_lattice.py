"""Time lattice Monte Carlo against packages that do the same.

    python scripts/bench_lattice.py --json lattice.json
    python scripts/bench_lattice.py --peer mcising --L 16,32 --repeats 3

The Ising model at its critical temperature, one chain, against mcising and peapods; and Hamiltonian
Monte Carlo of phi^4, many chains, against blackjax. Both sides make the same updates, by turns
(A B A B) in one process, from configurations in equilibrium, and measure the same where the peer
measures; medians in microseconds an update are reported, with their ratio. Means of chains of both
have to agree: z is their difference in standard errors. What cannot be made the same:

  metropolis     ours: even sites, then odd ones, flips with 15/16 of the usual probability;
                 mcising, peapods: site after site
  peapods        has no cluster steps without Metropolis sweeps; we make as many of both, the
                 Metropolis sweeps of a call first
  phi4           ours: 10 leapfrog steps in the mean, their number is random; blackjax: 10

A peer that is not installed is named and left out.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: idle threads must not spin

import numba
import torch

from boltzgen.storage import write_json
from lattice_bench.contest import Contest, Outcome, hold
from lattice_bench.ising import mcising_contests, peapods_contests
from lattice_bench.phi4 import blackjax_contests
from pipeline.command_line import Parser, positive_count, sample_count
from pipeline.console import ProgressBar, print_table

PEERS = ("mcising", "peapods", "blackjax")
_MOST_Z = 4.0


def lengths(text: str) -> list[int]:
    """Read even lengths, such as 16,32."""
    words = text.split(",")
    known = all(word.isascii() and word.isdigit() for word in words)
    found = [int(word) for word in words] if known else [0]
    if any(L < 4 or L % 2 for L in found):
        raise argparse.ArgumentTypeError(
            f"expected even lengths of at least 4, such as 16,32, got {text!r}"
        )
    return found


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = Parser(__doc__)
    add = options.add_argument
    add("--peer", nargs="+", choices=PEERS, default=list(PEERS), help="peers (default all)")
    add("--L", type=lengths, metavar="L,L,...",
        help="even lengths (default 16,32,64,128 for Ising, 8,16,32 for phi4)")  # fmt: skip
    add("--chains", type=sample_count, default=64, help="chains of phi4 (default 64)")
    add("--repeats", type=positive_count, default=7, help="timed rounds (default 7)")
    add("--threads", type=positive_count, default=1,
        help="threads for many chains (default 1); one Ising chain takes one")  # fmt: skip
    add("--json", type=Path, metavar="FILE", help="also write the numbers there")
    add("--quiet", action="store_true", help="no progress bar")
    return options


def set_threads(count: int) -> None:
    """Give all libraries that many threads; those not yet loaded read the environment.

    Raises:
        ValueError: There are not so many cores.
    """
    try:
        numba.set_num_threads(count)
    except ValueError as error:
        raise ValueError(f"--threads: {error}, got {count}") from error
    torch.set_num_threads(count)
    os.environ["RAYON_NUM_THREADS"] = str(count)
    eigen = str(count > 1).lower()
    os.environ["XLA_FLAGS"] = (
        f"--xla_cpu_multi_thread_eigen={eigen} intra_op_parallelism_threads={count}"
    )


def programme(
    arguments: argparse.Namespace,
) -> list[tuple[str, Callable[[], Iterator[Contest]]]]:
    """Names of peers and makers of contests, one for each size."""
    makers: dict[str, Callable[[int], Iterator[Contest]]] = {
        "mcising": mcising_contests,
        "peapods": peapods_contests,
        "blackjax": partial(blackjax_contests, n_chains=arguments.chains),
    }
    usual = {"blackjax": [8, 16, 32]}
    return [
        (peer, partial(makers[peer], L))
        for peer in arguments.peer
        for L in arguments.L or usual.get(peer, [16, 32, 64, 128])
    ]


def hold_all(arguments: argparse.Namespace) -> tuple[list[Outcome], list[str]]:
    """Outcomes, and the peers that are missing."""
    outcomes: list[Outcome] = []
    missing: list[str] = []
    contests = programme(arguments)
    with ProgressBar("contests", unit="size", enabled=not arguments.quiet) as progress:
        progress(0, len(contests))
        for number, (peer, make) in enumerate(contests):
            if peer not in missing:
                try:
                    outcomes += [hold(one, repeats=arguments.repeats) for one in make()]
                except ImportError:
                    missing.append(peer)
            progress(number + 1, len(contests))
    return outcomes, missing


def show(outcomes: list[Outcome]) -> None:
    """Print one table for each peer."""
    for peer in dict.fromkeys(outcome.peer for outcome in outcomes):
        own = [outcome for outcome in outcomes if outcome.peer == peer]
        own.sort(key=lambda outcome: (outcome.task, outcome.size))
        rows = [
            [one.task, str(one.size), f"{one.ours_us:.3g}", f"{one.peer_us:.3g}",
             f"{one.ratio:.2f}", f"{one.z:+.1f}"]
            for one in own
        ]  # fmt: skip
        print_table(f"Microseconds, {peer}", ["task", "L", "ours", peer, "ratio", "z"], rows)
        print(f"of {own[0].unit}; measured: {own[0].measured}")
    if outcomes:
        print("ratio: of the peer's time to ours; z: difference of the means in standard errors")
    for one in outcomes:
        if abs(one.z) > _MOST_Z:
            print(
                f"bench_lattice: {one.peer}, {one.task}, L = {one.size}: {one.observable} is "
                f"{one.ours_mean:.5g} ± {one.ours_error:.1g} for us and {one.peer_mean:.5g} ± "
                f"{one.peer_error:.1g} for the peer: these do not sample the same"
            )


def main() -> int:
    """Time, compare, print, write."""
    arguments = parser().parse_args()
    try:
        set_threads(arguments.threads)
        outcomes, missing = hold_all(arguments)
        show(outcomes)
        for peer in missing:
            print(f'bench_lattice: {peer} is missing: pip install "boltzgen-flows[bench]"')
        if arguments.json is not None:
            records = [outcome.record() for outcome in outcomes]
            write_json(
                arguments.json,
                {"threads": arguments.threads, "repeats": arguments.repeats, "records": records},
            )
    except (ValueError, OSError) as error:
        print(f"bench_lattice: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
