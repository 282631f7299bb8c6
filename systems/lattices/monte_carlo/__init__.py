"""Reference Monte Carlo on lattices, compiled: the Ising model and the scalar field."""

from systems.lattices.monte_carlo.field_chains import (
    FieldChains,
    FieldRun,
    FieldSweep,
    run_field,
    start_field,
)
from systems.lattices.monte_carlo.field_heat_bath import FieldCouplings
from systems.lattices.monte_carlo.hamiltonian import (
    HamiltonianStep,
    Trajectory,
    follow,
    hamiltonian_step,
)
from systems.lattices.monte_carlo.ising import (
    HeatBath,
    IsingChains,
    IsingRun,
    Metropolis,
    SwendsenWang,
    Update,
    Wolff,
    run_ising,
    start_ising,
)
from systems.lattices.monte_carlo.scalar_field import (
    FieldStep,
    FieldSums,
    cluster_step,
    field_sums,
    heat_bath_step,
)
from systems.lattices.monte_carlo.schedule import Schedule
from systems.lattices.monte_carlo.streams import make_streams

__all__ = [
    "FieldChains",
    "FieldCouplings",
    "FieldRun",
    "FieldStep",
    "FieldSums",
    "FieldSweep",
    "HamiltonianStep",
    "HeatBath",
    "IsingChains",
    "IsingRun",
    "Metropolis",
    "Schedule",
    "SwendsenWang",
    "Trajectory",
    "Update",
    "Wolff",
    "cluster_step",
    "field_sums",
    "follow",
    "hamiltonian_step",
    "heat_bath_step",
    "make_streams",
    "run_field",
    "run_ising",
    "start_field",
    "start_ising",
]
