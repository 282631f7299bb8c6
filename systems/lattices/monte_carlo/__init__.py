"""Reference Monte Carlo on lattices, compiled: the Ising model, and steps for a scalar field."""

from systems.lattices.monte_carlo.ising import (
    HeatBath,
    IsingChains,
    IsingRun,
    Metropolis,
    SwendsenWang,
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
    "FieldStep",
    "FieldSums",
    "HeatBath",
    "IsingChains",
    "IsingRun",
    "Metropolis",
    "Schedule",
    "SwendsenWang",
    "Wolff",
    "cluster_step",
    "field_sums",
    "heat_bath_step",
    "make_streams",
    "run_ising",
    "start_ising",
]
