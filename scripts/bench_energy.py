"""Time energies and forces: our tensor code, eager and compiled, against OpenMM's loop.

    python scripts/bench_energy.py --json energy.json
    python scripts/bench_energy.py --system ala2/ff96-obc1 --batch 1024 --dtype float32

All ways to compute the same thing run in turn (A B C A B C) in one process; medians are reported in
microseconds a configuration, with the ratio of OpenMM's Reference loop to our compiled code. OpenMM
is called once for each configuration, as every bridge does it; of large batches it gets the first
256. bgflow's own bridge runs too where it imports. A system is a name such as ala2/vacuum, or
ala:N for N alanines between caps in amber99sbildn with OBC (12 + 10 N atoms).
"""

import argparse
import importlib
import os
import sys
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: idle threads must not spin

import openmm
import torch
from openmm import app
from torch import Tensor

from boltzgen.storage import write_json
from pipeline.command_line import device, positive_count
from pipeline.console import print_table
from pipeline.timing import median_seconds
from systems.molecules import MolecularSystem, OpenMMTarget, TensorTarget, named
from systems.molecules.build import capped_alanine

SYSTEMS = ("ala2/vacuum", "ala2/ff99sbildn-obc2", "ala2/ff96-obc1", "ala:5", "ala:10")
FIELDS = ("amber99sbildn.xml", "amber96_obc.xml")
N_LOOP = 256
Potential = Callable[[Tensor], Tensor]


def molecule(name: str) -> MolecularSystem:
    """A named system, or ala:N."""
    kind, colon, count = name.partition(":")
    if kind != "ala" or not colon:
        return named(name)
    topology, positions = capped_alanine(positive_count(count))
    system = app.ForceField(*FIELDS).createSystem(topology, constraints=None, rigidWater=False)
    return MolecularSystem(name, system, topology, positions)


def energies(potential: Potential, x: Tensor) -> None:
    """Energies alone."""
    with torch.no_grad():
        potential(x)
    _wait(x)


def forces(potential: Potential, x: Tensor) -> None:
    """Energies and forces."""
    x = x.detach().requires_grad_()
    torch.autograd.grad(potential(x).sum(), x)
    _wait(x)


def _wait(x: Tensor) -> None:
    if x.is_cuda:
        torch.cuda.synchronize()


def bridge(system: MolecularSystem) -> Potential | None:
    """The energy of bgflow's OpenMM bridge, if bgflow is there and imports."""
    try:
        found = importlib.import_module("bgflow.distribution.energy.openmm")
    except (ImportError, AttributeError):
        return None
    integrator = openmm.VerletIntegrator(0.001)
    made = found.OpenMMBridge(system.system, integrator, platform_name="Reference", n_workers=1)
    energy = found.OpenMMEnergy(3 * system.n_atoms, made)
    return lambda x: energy.energy(x.flatten(1))[:, 0]


def ways(system: MolecularSystem, x: Tensor) -> dict[str, tuple[Potential, Tensor]]:
    """Name -> (potential, the configurations it gets)."""
    few = x[:N_LOOP].cpu()
    tensor = {
        name: TensorTarget(system, compiled=name == "compiled").to(x.device)
        for name in ("eager", "compiled")
    }
    loops = {name: OpenMMTarget(system, platform=name) for name in ("Reference", "CPU")}
    found: dict[str, tuple[Potential, Tensor]] = {n: (t.potential, x) for n, t in tensor.items()}
    found |= {name: (target.potential, few) for name, target in loops.items()}
    theirs = bridge(system)
    return found if theirs is None else found | {"bgflow": (theirs, few)}


def peak_megabytes(function: Callable[[], object], on: torch.device) -> float:
    """Peak of the memory of the process (or of the device) while a function runs."""
    if on.type == "cuda":
        torch.cuda.reset_peak_memory_stats(on)
        function()
        return float(torch.cuda.max_memory_allocated(on)) / 2**20
    Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM
    function()
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def measure(
    system: MolecularSystem, n_batch: int, dtype: torch.dtype, on: torch.device, repeats: int
) -> dict[str, float]:
    """Microseconds a configuration of every way, for energies and with forces; peak memory."""
    generator = torch.Generator().manual_seed(0)
    shape = (n_batch, system.n_atoms, 3)
    noise = torch.randn(shape, generator=generator, dtype=torch.float64)
    x = (torch.tensor(system.positions.copy()) + 0.003 * noise).to(on, dtype)
    known = ways(system, x)
    tasks = {
        f"{name}, {what.__name__}": partial(what, potential, points)
        for name, (potential, points) in known.items()
        for what in (energies, forces)
    }
    seconds = median_seconds(tasks, repeats=repeats)
    found = {key: 1e6 * taken / len(known[key.split(",")[0]][1]) for key, taken in seconds.items()}
    for name in ("eager", "compiled"):
        found[f"{name}, peak MB"] = peak_megabytes(tasks[f"{name}, forces"], on)
    return found


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = options.add_argument
    add("--system", nargs="+", default=list(SYSTEMS), metavar="NAME",
        help=f"systems (default {' '.join(SYSTEMS)})")  # fmt: skip
    add("--batch", nargs="+", type=positive_count, default=[1, 32, 1024, 8192], metavar="N",
        help="batch sizes (default 1 32 1024 8192)")  # fmt: skip
    add("--dtype", nargs="+", choices=["float32", "float64"], default=["float32", "float64"],
        help="precisions of the tensor code (default both); OpenMM has its own")  # fmt: skip
    add("--device", type=device, default="cpu", help="of the tensor code (default cpu)")
    add("--threads", type=positive_count, default=os.cpu_count() or 1,
        help="threads of the tensor code (default: all cores)")  # fmt: skip
    add("--repeats", type=positive_count, default=5, help="timed rounds (default 5)")
    add("--json", type=Path, metavar="FILE", help="also write the numbers there")
    return options


def main() -> int:
    """Time, print, write."""
    arguments = parser().parse_args()
    torch.set_num_threads(arguments.threads)
    rows: dict[str, list[list[str]]] = {}
    records = []
    for name, dtype in product(arguments.system, arguments.dtype):
        try:
            system = molecule(name)
        except (ValueError, argparse.ArgumentTypeError) as error:
            print(f"bench_energy: {error}", file=sys.stderr)
            return 1
        for n_batch in arguments.batch:
            precision = getattr(torch, dtype)
            found = measure(system, n_batch, precision, arguments.device, arguments.repeats)
            records.append({"system": name, "n_atoms": system.n_atoms, "batch": n_batch,
                            "dtype": dtype, "microseconds": found})  # fmt: skip
            title = f"{name}, {system.n_atoms} atoms"
            rows.setdefault(title, []).extend(_rows(f"{dtype} {n_batch}", found))
            print(f"{name}, {system.n_atoms} atoms, {dtype}, batch {n_batch}: done", flush=True)
    columns = ["batch", "what", "eager", "compiled", "Reference", "CPU", "ratio", "MB"]
    for title, lines in rows.items():
        print_table(f"{title}: microseconds a configuration", columns, lines)
    print("ratio: Reference / compiled; MB: peak memory of the process, forces compiled")
    if not any("bgflow, energies" in record["microseconds"] for record in records):
        print("bgflow does not import here; its bridge is such a loop over configurations")
    if arguments.json is not None:
        write_json(arguments.json, {"threads": arguments.threads, "records": records})
    return 0


def _rows(label: str, found: dict[str, float]) -> list[list[str]]:
    rows = []
    for what in ("energies", "forces"):
        times = [found[f"{name}, {what}"] for name in ("eager", "compiled", "Reference", "CPU")]
        memory = f"{found['compiled, peak MB']:.0f}" if what == "forces" else ""
        ratio = f"{times[2] / times[1]:.1f}"
        rows.append([label, what, *(f"{t:.2f}" for t in times), ratio, memory])
    return rows


if __name__ == "__main__":
    sys.exit(main())
