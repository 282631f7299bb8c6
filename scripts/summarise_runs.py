"""Mean and spread of several runs, as a Markdown table.

    python scripts/summarise_runs.py runs/a runs/b runs/c

The runs must be of one system over one range. The spread is the standard deviation over runs.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from boltzgen.errors import CorruptFileError
from boltzgen.storage import read_json

COLUMNS = (
    ("ess_reverse", "ESS/N reverse / %", 100.0, 1),
    ("ess_forward", "forward / %", 100.0, 1),
    ("khat", "k-hat", 1.0, 2),
    ("eubo_minus_elbo", "EUBO - ELBO / nats", 1.0, 3),
    ("free_energy", "F / kT (MBAR)", 1.0, 3),
    ("free_energy_error", "its error", 1.0, 3),
    ("U", "U / (kJ/mol)", 1.0, 2),
)


def read_runs(paths: list[Path]) -> list[dict[str, Any]]:
    """Summaries of the runs, checked to belong together."""
    runs = [read_json(path / "summary.json") for path in paths]
    kinds = {(run["system"], run["preset"], tuple(run["T"])) for run in runs}
    if len(kinds) != 1:
        raise ValueError(f"RUN: expected runs of one system, preset and range, got {sorted(kinds)}")
    return runs


def table(runs: list[dict[str, Any]]) -> list[str]:
    """Lines of the table: one row per temperature."""
    names = [title for _, title, _, _ in COLUMNS]
    lines = [f"| T / K | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for index, temperature in enumerate(runs[0]["T"]):
        cells = [
            cell([run[key][index] for run in runs], scale, digits)
            for key, _, scale, digits in COLUMNS
        ]
        lines.append(f"| {temperature:g} | {' | '.join(cells)} |")
    return lines


def cell(values: list[float | None], scale: float, digits: int) -> str:
    """Mean and spread of the known values, or a dash."""
    known = scale * np.array([value for value in values if value is not None])
    if known.size == 0:
        return "-"
    if known.size == 1:
        return f"{known[0]:.{digits}f}"
    return f"{known.mean():.{digits}f} ± {known.std(ddof=1):.{digits}f}"


def agreement(runs: list[dict[str, Any]]) -> list[str]:
    """Lines on the reference: z of the free energy and of the profiles, for each run."""
    lines = ["| seed | z of F(high) - F(low) | T / K: largest z of a bin, p |", "|---|---|---|"]
    for run in runs:
        reference = run.get("reference")
        if reference is None:
            lines.append(f"| {run['seed']} | no reference | |")
            continue
        profiles = "; ".join(
            f"{t}: {found['largest_z']:.1f}, {found['p_value']:.3f}"
            for t, found in reference["profiles"].items()
        )
        lines.append(f"| {run['seed']} | {reference['z_free_energy']:+.2f} | {profiles} |")
    return lines


def costs(runs: list[dict[str, Any]]) -> list[str]:
    """Lines on energy calls and wall time of each run."""
    lines = [
        "| seed | data calls | training calls | evaluation calls | minutes |",
        "|---" * 5 + "|",
    ]
    for run in runs:
        calls = run["energy_calls"]
        counts = " | ".join(f"{calls[key]:,}" for key in ("data", "training", "evaluation"))
        lines.append(f"| {run['seed']} | {counts} | {run['wall_seconds'] / 60:.1f} |")
    return lines


def main() -> int:
    """Run, turning expected mistakes into one line on the terminal."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run directories")
    try:
        runs = read_runs(parser.parse_args().runs)
    except (ValueError, OSError, KeyError, CorruptFileError) as error:
        print(f"summarise_runs: {error}", file=sys.stderr)
        return 1
    seeds = ", ".join(str(run["seed"]) for run in runs)
    print(f"{runs[0]['system']}, preset {runs[0]['preset']}, seeds {seeds}; mean ± spread\n")
    print("\n".join([*table(runs), "", *agreement(runs), "", *costs(runs)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
