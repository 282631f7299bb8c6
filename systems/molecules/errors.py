"""Errors of simulations and of their caches; bad arguments raise ValueError."""


class CorruptCacheError(RuntimeError):
    """A cached file is truncated, damaged or not what its name says."""


class SimulationError(RuntimeError):
    """A simulation blew up, missed its temperature, or lost a worker process."""
