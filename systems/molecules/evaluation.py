"""Many energies of one OpenMM system, quickly: one Context per thread, plain arrays in and out.

OpenMM lets go of Python's global lock while it computes, so threads run side by side and nothing
has to be copied to other processes. Every energy depends on its own configuration alone, and on
the Reference platform is the same bit for bit whichever thread computes it.
"""

from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import numpy as np
import openmm

from systems.molecules.definition import MolecularSystem

_STEP = 0.001  # ps; no step is ever taken


def fastest_platform(system: MolecularSystem) -> str:
    """The quicker of OpenMM's two CPU platforms for a small molecule.

    "Reference" (double precision) wins unless there are Custom* forces, whose formulas it
    interprets: "CPU" compiles them, 0.3 against 2 ms for "ala2/ff96-obc1", in single precision.
    """
    custom = any(type(f).__name__.startswith("Custom") for f in system.system.getForces())
    return "CPU" if custom else "Reference"


def minimised_positions(system: MolecularSystem) -> np.ndarray:
    """Positions in nm, (n_atoms, 3), of the energy minimum next to the reference configuration."""
    context = _new_context(system, fastest_platform(system))
    context.setPositions(system.positions)
    openmm.LocalEnergyMinimizer.minimize(context)
    found = context.getState(positions=True).getPositions(asNumpy=True)._value
    return np.array(found, dtype=np.float64)


class EnergyPool:
    """Contexts of one system that evaluate batches of configurations.

    Args:
        system: The molecule.
        platform: Name of the OpenMM platform.
        n_workers: Threads; 0 evaluates in the calling thread.

    Raises:
        ValueError: There is no such platform here, or n_workers is negative.
    """

    def __init__(
        self, system: MolecularSystem, *, platform: str = "Reference", n_workers: int = 0
    ) -> None:
        if n_workers < 0:
            raise ValueError(f"n_workers: expected at least 0, got {n_workers}")
        check_platform(platform)
        self._system = system
        self._platform = platform
        self._n_workers = n_workers
        self._lock = Lock()
        self._contexts: list[openmm.Context] = []
        self._threads: ThreadPoolExecutor | None = None

    def evaluate(
        self, positions: np.ndarray, *, with_forces: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Energies in kJ/mol and, if asked for, forces in kJ/(mol nm).

        Args:
            positions: float64, nm, shape (B, n_atoms, 3).
            with_forces: Whether forces are wanted.

        Returns:
            Energies (B,), +inf where OpenMM gives no finite number or a position is not finite;
            forces (B, n_atoms, 3), 0 there and wherever one is not finite, or (0, n_atoms, 3) if
            they were not asked for.
        """
        positions = np.ascontiguousarray(positions, dtype=np.float64)
        energies = np.full(len(positions), np.inf)
        forces = np.zeros(positions.shape if with_forces else (0, *positions.shape[1:]))
        usable = np.flatnonzero(np.isfinite(positions).all(axis=(1, 2)))
        with self._lock:
            self._evaluate_rows(usable, positions, energies, forces)
        bad = ~np.isfinite(energies)
        energies[bad] = np.inf
        if with_forces:
            forces[bad | ~np.isfinite(forces).all(axis=(1, 2))] = 0.0
        return energies, forces

    def close(self) -> None:
        """Let go of threads and Contexts; a later call makes new ones."""
        with self._lock:
            if self._threads is not None:
                self._threads.shutdown()
            self._threads = None
            self._contexts = []

    def __getstate__(self) -> dict[str, object]:
        """What is pickled: the settings, without Contexts and threads."""
        return {"system": self._system, "platform": self._platform, "n_workers": self._n_workers}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Start anew from the settings."""
        self.__init__(**state)  # type: ignore[misc]

    def _evaluate_rows(
        self, rows: np.ndarray, positions: np.ndarray, energies: np.ndarray, forces: np.ndarray
    ) -> None:
        n_parts = max(1, min(self._n_workers, len(rows)))
        while len(self._contexts) < n_parts:
            self._contexts.append(_new_context(self._system, self._platform))
        if n_parts == 1:
            _evaluate_part(self._contexts[0], rows, positions, energies, forces)
            return
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._n_workers, thread_name_prefix="energy")
        jobs = [
            self._threads.submit(_evaluate_part, context, part, positions, energies, forces)
            for context, part in zip(self._contexts, np.array_split(rows, n_parts), strict=False)
        ]
        for job in jobs:
            job.result()


def platform_properties(platform: str) -> dict[str, str]:
    """Properties of a platform for one small molecule: one thread, as many run at once."""
    return {"Threads": "1"} if platform == "CPU" else {}


def _new_context(system: MolecularSystem, platform: str) -> openmm.Context:
    return openmm.Context(
        system.system,
        openmm.VerletIntegrator(_STEP),
        openmm.Platform.getPlatformByName(platform),
        platform_properties(platform),
    )


def _evaluate_part(
    context: openmm.Context,
    rows: np.ndarray,
    positions: np.ndarray,
    energies: np.ndarray,
    forces: np.ndarray,
) -> None:
    """Fill `energies` and, unless it has no rows, `forces` at `rows`."""
    with_forces = len(forces) > 0
    for row in rows.tolist():
        try:
            context.setPositions(positions[row])
            state = context.getState(energy=True, forces=with_forces)
        except openmm.OpenMMException as error:
            if "NaN" not in str(error):  # an overlap so bad that OpenMM gives up is +inf
                raise
            continue
        energies[row] = state.getPotentialEnergy()._value
        if with_forces:
            # State.getForces spends 150 us on units per call, four times the computation.
            state._getVectorAsNumpy(openmm.State.Forces, forces[row])


def check_platform(platform: str) -> None:
    """Require the name of a platform that OpenMM finds on this machine."""
    n_platforms = openmm.Platform.getNumPlatforms()
    known = [openmm.Platform.getPlatform(i).getName() for i in range(n_platforms)]
    if platform not in known:
        raise ValueError(
            f"platform: expected one of {', '.join(known)} (those OpenMM finds here), "
            f"got {platform!r}"
        )
