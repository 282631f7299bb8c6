"""Errors of simulations; bad arguments raise ValueError."""


class SimulationError(RuntimeError):
    """A simulation blew up, missed its temperature, or lost a worker process."""
