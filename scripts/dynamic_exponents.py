"""Dynamic critical exponents: autocorrelation times over the size of the lattice, tau = A L^z.

    python scripts/dynamic_exponents.py --L 8,16,32,64 --out exponents
    python scripts/dynamic_exponents.py --model phi4 --kappa 0.27 --lambda 0.02 --L 8,16,32

Integrated autocorrelation times of |m| and the energy of the Ising model on L x L sites, by
default at its critical temperature, for Metropolis, Swendsen-Wang and Wolff; the last in lattice
sweeps, clusters times mean cluster size / V. Or of the field phi^4 for HMC, HMC with clusters, heat
bath and Fourier-accelerated HMC, in passes over the lattice. Values and errors are of the Gamma
method over many chains, where independent updates have tau = 1/2. Run lengths follow from a rough
power law, are checked, and grow where they are less than 200 tau. The fit of logarithms is weighted
with the errors; small sizes are left out where chi-square says that they do not follow the power
law of the others. Results go to times.csv, exponents.json and exponents.png in the directory of
--out.
"""

import argparse
import csv
import os
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: idle threads must not spin

import numpy as np
import torch

from boltzgen.errors import NonFiniteError, NotConvergedError
from boltzgen.plots import new_figure, style, to_png
from boltzgen.plots.dynamics import draw_power_laws
from boltzgen.storage import write_atomically, write_json
from dynamics.ising import ising_methods
from dynamics.phi4 import phi4_methods
from dynamics.power_law import PowerLaw, fit_power_law, fit_tail
from dynamics.times import LEAST_LENGTH, Method, Time, measure
from pipeline.command_line import Parser, make_folder, positive_count, positive_number, seed
from pipeline.console import ProgressBar, print_table
from systems.lattices.exact import critical_temperature

DRAWN = {"ising": ("|m|", "energy"), "phi4": ("|m|", "action")}
_LEAST_P = 1e-3
Fits = dict[tuple[str, str], PowerLaw]


def sizes(text: str) -> list[int]:
    """Read two or more different even lengths, such as 8,16,32."""
    words = text.split(",")
    known = all(word.isascii() and word.isdigit() for word in words)
    found = [int(word) for word in words] if known else []
    if len(found) < 2 or len(set(found)) < len(found) or any(L < 4 or L % 2 for L in found):
        raise argparse.ArgumentTypeError(
            f"expected two or more different even lengths of at least 4, such as 8,16, got {text!r}"
        )
    return sorted(found)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = Parser(__doc__)
    add = options.add_argument
    add("--model", choices=["ising", "phi4"], default="ising", help="the model (default ising)")
    add("--L", type=sizes, default=[8, 16, 32, 64], metavar="L,L,...",
        help="even lengths of the lattices (default 8,16,32,64)")  # fmt: skip
    add("--T", type=positive_number, metavar="T",
        help="temperature of the Ising model, J = 1 (default: the critical one)")  # fmt: skip
    add("--kappa", type=positive_number, help="hopping of phi4, needed there")
    add("--lambda", type=positive_number, default=0.02, dest="quartic", metavar="LAMBDA",
        help="quartic coupling of phi4 (default 0.02)")  # fmt: skip
    add("--chains", type=positive_count, default=16, help="chains of each run (default 16)")
    add("--length", type=positive_number, default=10_000.0, metavar="TAU",
        help="length of each chain in autocorrelation times (default 10000)")  # fmt: skip
    add("--fit-from", type=positive_count, metavar="L",
        help="smallest L of the fits (default: from where p is at least 0.05)")  # fmt: skip
    add("--seed", type=seed, default=1, help="seed (default 1)")
    add("--out", type=Path, metavar="DIR", help="write CSV, JSON and PNG there")
    add("--quiet", action="store_true", help="no progress bar")
    return options


def methods_of(arguments: argparse.Namespace) -> tuple[list[Method], dict[str, float]]:
    """The algorithms, and the couplings that they run at.

    Raises:
        ValueError: An option is missing, or belongs to the other model.
    """
    if arguments.fit_from is not None and sum(L >= arguments.fit_from for L in arguments.L) < 2:
        raise ValueError("--fit-from: leaves fewer than two lengths of --L")
    if arguments.model == "ising":
        if arguments.kappa is not None:
            raise ValueError("--kappa: belongs to --model phi4")
        T = critical_temperature() if arguments.T is None else arguments.T
        return ising_methods(T, arguments.chains), {"T": T}
    if arguments.kappa is None:
        raise ValueError("--kappa: --model phi4 needs it, such as --kappa 0.27")
    if arguments.T is not None:
        raise ValueError("--T: belongs to --model ising")
    couplings = {"kappa": arguments.kappa, "lambda": arguments.quartic}
    return phi4_methods(arguments.kappa, arguments.quartic, arguments.chains), couplings


def measure_all(methods: list[Method], arguments: argparse.Namespace) -> list[Time]:
    """Autocorrelation times of all algorithms at all sizes.

    The length of a run follows from the slowest observable of the size before, once there is one.
    """
    shares = {
        (method.name, L): method.cost(L) * method.expected(L)
        for method in methods for L in arguments.L
    }  # fmt: skip
    total, done, times = sum(shares.values()), 0.0, []
    with ProgressBar("chains", unit="%", enabled=not arguments.quiet) as progress:

        def tell(share: float) -> None:
            nonlocal done
            done += share * shares[method.name, L]
            progress(int(100 * done / total), 100)

        progress(0, 100)
        for number, method in enumerate(methods):
            factor = 1.0
            for L in arguments.L:
                expected = max(1.0, factor * method.expected(L))
                found = measure(
                    method, L, seed=arguments.seed + 7919 * number + 104_729 * L,
                    length=arguments.length, expected=expected, tell=tell,
                )  # fmt: skip
                factor = max(time.updates for time in found) / method.expected(L)
                times.extend(found)
    return times


def fit_all(times: list[Time], first: int | None) -> Fits:
    """Power laws by method and observable, from a size on or from where one holds."""
    fits = {}
    for key, own in by_series(times).items():
        x, y, errors = np.array([(time.L, time.tau, time.error) for time in own]).T
        if first is None:
            fits[key] = fit_tail(x, y, errors)
        else:
            known = x >= first
            fits[key] = fit_power_law(x[known], y[known], errors[known])
    return fits


def by_series(times: list[Time]) -> dict[tuple[str, str], list[Time]]:
    """Times of each method and observable over growing sizes."""
    found: dict[tuple[str, str], list[Time]] = {}
    for time in sorted(times, key=lambda time: time.L):
        found.setdefault((time.method, time.observable), []).append(time)
    return found


def show(times: list[Time], fits: Fits, methods: list[Method]) -> None:
    """Print times and exponents."""
    rows = []
    for key, own in by_series(times).items():
        for before, time in zip([None, *own], own, strict=False):
            short = "" if time.is_long_enough else " short"
            rows.append(
                [", ".join(key), str(time.L), f"{time.tau:.4g} ± {time.error:.2g}",
                 _local_exponent(before, time), f"{time.length:.0f}{short}"]
            )  # fmt: skip
    rows.sort(key=lambda row: [method.name for method in methods].index(row[0].split(", ")[0]))
    columns = ["method, series", "L", "tau", "z from the last", "length / tau"]
    print_table("Integrated autocorrelation times", columns, rows)
    for unit in dict.fromkeys(method.unit for method in methods):
        names = ", ".join(method.name for method in methods if method.unit == unit)
        print(f"tau of {names}: in {unit}")
    rows = [
        [", ".join(key), f"{fit.exponent:.3f} ± {fit.exponent_error:.3f}",
         f"{fit.amplitude:.3g}", f"{fit.first:.0f}", f"{fit.chi_square:.1f} / {fit.n_freedom}",
         "" if fit.p_value is None else f"{fit.p_value:.2g}"]
        for key, fit in fits.items()
    ]  # fmt: skip
    columns = ["method, series", "z", "A", "from L", "chi² / dof", "p"]
    print_table("tau = A L^z", columns, rows)
    for line in warnings_of(times, fits):
        print(f"dynamic_exponents: {line}")


def warnings_of(times: list[Time], fits: Fits) -> list[str]:
    """What not to trust."""
    lines = [
        f"{time.method}, {time.observable}, L = {time.L}: chains of {time.length:.0f} tau, less "
        f"than {LEAST_LENGTH:.0f}: do not trust this time"
        for time in times if not time.is_long_enough
    ]  # fmt: skip
    lines += [
        f"{time.method}, {time.observable}, L = {time.L}: the chains scatter more than one error "
        f"allows (p = {time.consistency:.1g})"
        for time in times if time.consistency < _LEAST_P
    ]  # fmt: skip
    lines += [
        f"{', '.join(key)}: these sizes follow no power law (p = {fit.p_value:.1g})"
        for key, fit in fits.items() if fails(fit)
    ]  # fmt: skip
    return lines


def fails(fit: PowerLaw) -> bool:
    """Whether the times scatter about their power law more than their errors allow."""
    return fit.p_value is not None and fit.p_value < _LEAST_P


def _local_exponent(before: Time | None, time: Time) -> str:
    """The exponent between two sizes."""
    if before is None:
        return ""
    step = np.log(time.L / before.L)
    error = np.hypot(time.error / time.tau, before.error / before.tau) / step
    return f"{np.log(time.tau / before.tau) / step:.2f} ± {error:.2f}"


def draw(times: list[Time], fits: Fits, observables: Sequence[str], unit: str) -> bytes:
    """The picture: one panel for each observable."""
    L = np.array(sorted({time.L for time in times}))
    with style():
        figure = new_figure(1, len(observables), width=9.5, aspect=0.8)
        for ax, observable in zip(figure.axes, observables, strict=True):
            own = [time for time in times if time.observable == observable]
            series, laws = {}, {}
            for name in dict.fromkeys(time.method for time in own):
                rows = sorted((t.L, t.tau, t.error) for t in own if t.method == name)
                _, values, errors = np.array(rows).T
                fit = fits[name, observable]
                if fails(fit):
                    series[f"{name}: no power law"] = (values, errors)
                    continue
                series[name] = (values, errors)
                laws[name] = (fit.amplitude, fit.exponent, fit.exponent_error, fit.first)
            label = rf"$\tau_\mathrm{{int}}$ of {observable} / {unit}"
            draw_power_laws(L, series, laws, ax, label=label)
            low, high = ax.get_ylim()
            ax.set_ylim(low, high * (high / low) ** (0.12 * len(series)))  # room for the legend
        return to_png(figure)


def write(path: Path, times: list[Time], fits: Fits, facts: dict[str, object]) -> None:
    """Write times.csv and exponents.json."""
    columns = [
        "method", "observable", "L", "tau", "error", "updates", "sweeps_per_update", "length",
        "consistency", "n_chains", "n_updates",
    ]  # fmt: skip
    table = [{name: getattr(time, name) for name in columns} for time in times]

    def fill(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(table)

    write_atomically(path / "times.csv", fill)
    exponents = [
        {"method": name, "observable": observable, "z": fit.exponent, "z_error": fit.exponent_error,
         "A": fit.amplitude, "A_error": fit.amplitude_error, "chi_square": fit.chi_square,
         "n_freedom": fit.n_freedom, "first_L": fit.first, "p_value": fit.p_value}
        for (name, observable), fit in fits.items()
    ]  # fmt: skip
    for row in table:
        if np.isnan(row["consistency"]):  # a single chain
            row["consistency"] = None
    write_json(path / "exponents.json", facts | {"exponents": exponents, "times": table})


def main() -> int:
    """Measure, fit, print, write."""
    arguments = parser().parse_args()
    torch.set_num_threads(1)
    try:
        methods, couplings = methods_of(arguments)
        if arguments.out is not None:
            make_folder("--out", arguments.out)
        times = measure_all(methods, arguments)
        fits = fit_all(times, arguments.fit_from)
        show(times, fits, methods)
        if arguments.out is not None:
            facts = {
                "model": arguments.model, "couplings": couplings, "seed": arguments.seed,
                "unit": {method.name: method.unit for method in methods},
            }  # fmt: skip
            write(arguments.out, times, fits, facts)
            unit = "lattice sweeps" if arguments.model == "ising" else "lattice passes"
            picture = draw(times, fits, DRAWN[arguments.model], unit)
            write_atomically(
                arguments.out / "exponents.png", lambda path: _write_bytes(path, picture)
            )
    except (ValueError, OSError, NotConvergedError, NonFiniteError) as error:
        print(f"dynamic_exponents: {error}", file=sys.stderr)
        return 1
    return 0


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)


if __name__ == "__main__":
    sys.exit(main())
