"""Mean and spread of several sweeps of one lattice, as Markdown tables.

    python scripts/summarise_sweeps.py runs/a runs/b runs/c

Sweeps of one objective are taken together, those of several stand below each other. The spread is
the standard deviation over runs.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from boltzgen.errors import CorruptFileError
from boltzgen.storage import read_json
from summarise_runs import cell
from sweep.results import REFERENCES

_COLUMNS = (
    ("ess_reverse", "ESS/N reverse / %", 100.0, 1),
    ("ess_forward", "forward / %", 100.0, 1),
    ("khat", "k-hat", 1.0, 2),
)


def read_sweeps(paths: list[Path]) -> dict[str, list[dict[str, Any]]]:
    """Summaries by objective, checked to belong together."""
    sweeps = [read_json(path / "summary.json") for path in paths]
    kinds = {(s["system"], str(s["values"])) for s in sweeps}
    if len(kinds) != 1:
        raise ValueError(
            f"RUN: expected sweeps of one system over the same points, got "
            f"{', '.join(sorted({k[0] for k in kinds}))}"
        )
    found: dict[str, list[dict[str, Any]]] = {}
    for sweep in sweeps:
        found.setdefault(str(sweep["objective"]), []).append(sweep)
    return found


def points_table(sweeps: list[dict[str, Any]]) -> list[str]:
    """One row for each point: weights, averaged over runs."""
    names = [*sweeps[0]["controls"], *(title for _, title, _, _ in _COLUMNS)]
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    for index, values in enumerate(sweeps[0]["values"]):
        cells = [
            cell([s[key] and s[key][index] for s in sweeps], f, d) for key, _, f, d in _COLUMNS
        ]
        lines.append("| " + " | ".join([*(f"{v:g}" for v in values), *cells]) + " |")
    return lines


def runs_table(found: dict[str, list[dict[str, Any]]]) -> list[str]:
    """One row for each run: the worst point, agreement, free energies, minutes."""
    header = ["objective", "seed", "lowest ESS/N reverse / %", "forward / %", "largest \\|z\\|",
              "smallest p", "largest \\|dF\\|", "training / min"]  # fmt: skip
    lines = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    for objective, sweeps in found.items():
        for sweep in sweeps:
            pairs = [p for name, p in sweep["agreement"].items() if name.startswith("flow")]
            found_z = [a for pair in pairs[:1] for a in pair.values()]
            z = [a["largest_z"] for a in found_z if a["largest_z"] is not None]
            p = [a["p_value"] for a in found_z if a["p_value"] is not None]
            lines.append("| " + " | ".join([
                objective, str(sweep["seed"]), _lowest(sweep["ess_reverse"]),
                _lowest(sweep["ess_forward"]), f"{max(z):.1f}" if z else "-",
                f"{min(p):.2g}" if p else "-", _free_energy_gap(sweep),
                f"{sweep['seconds'].get('training', 0.0) / 60:.1f}",
            ]) + " |")  # fmt: skip
    return lines


def _lowest(values: list[float | None] | None) -> str:
    known = [100 * value for value in values or () if value is not None]
    return f"{min(known):.1f}" if known else "-"


def _free_energy_gap(sweep: dict[str, Any]) -> str:
    """Largest difference of the flow's log Z from the exact one, or from that of Monte Carlo."""
    free = sweep["free_energies"]
    reference = next((free[name] for name in REFERENCES if name in free), None)
    own = free.get("importance sampling")
    if reference is None or own is None:
        return "-"
    gaps = np.abs(np.array(own["values"]) - np.array(reference["values"]))
    return f"{gaps.max():.4f}"


def main() -> int:
    """Print the tables."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    try:
        found = read_sweeps(options.parse_args().runs)
    except (ValueError, OSError, CorruptFileError) as error:
        print(f"summarise_sweeps: {error}", file=sys.stderr)
        return 1
    print("\n".join(runs_table(found)))
    for objective, sweeps in found.items():
        print(f"\n{objective}, {len(sweeps)} runs:\n")
        print("\n".join(points_table(sweeps)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
