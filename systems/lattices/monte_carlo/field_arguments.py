"""Checks of what the updates of a scalar field take."""

import numpy as np

from systems.lattices.geometry import check_lattice
from systems.lattices.monte_carlo.field_heat_bath import FieldCouplings
from systems.lattices.monte_carlo.streams import check_streams


def check_fields(x: np.ndarray, streams: np.ndarray) -> tuple[int, ...]:
    """Require finite fields with one stream each; return the lattice's shape.

    Args:
        x: Configurations, float64 (n_chains, L_1, ..., L_d).
        streams: As `make_streams` returns them.

    Raises:
        ValueError: A dtype, a shape or a number is wrong.
    """
    check_float64("x", x)
    shape = check_lattice(x.shape[1:])
    check_streams(streams, x.shape[0])
    return shape


def check_float64(name: str, x: np.ndarray) -> None:
    """Require a float64 array of finite numbers."""
    if not isinstance(x, np.ndarray) or x.dtype != np.float64:
        kind = x.dtype if isinstance(x, np.ndarray) else type(x).__name__
        raise ValueError(f"{name}: expected a float64 array, got {kind}")
    n_bad = int((~np.isfinite(x)).sum())
    if n_bad:
        raise ValueError(f"{name}: expected finite numbers, got {n_bad} that are not")


def check_couplings(couplings: FieldCouplings, n_chains: int, n_dims: int) -> FieldCouplings:
    """Require an action with a minimum; return its coefficients for every chain.

    Args:
        couplings: a, b and t, each a number or one for each chain (n_chains,).
        n_chains: Number of chains.
        n_dims: d.

    Returns:
        Each float64 (n_chains,).

    Raises:
        ValueError: A number is not finite, there is another number of them, b is negative, or
            b = 0 and a <= d |t|.
    """
    a = per_chain("quadratic", couplings.quadratic, n_chains)
    b = per_chain("quartic", couplings.quartic, n_chains)
    t = per_chain("hopping", couplings.hopping, n_chains)
    if not (b >= 0).all():
        raise ValueError(f"quartic: expected numbers of at least 0, got {couplings.quartic}")
    if not ((b > 0) | (a > n_dims * np.abs(t))).all():
        raise ValueError(
            f"quadratic: expected more than {n_dims} |hopping| where quartic is 0, "
            f"got {couplings.quadratic}"
        )
    return FieldCouplings(a, b, t)


def check_steps(value: np.ndarray | float, n_chains: int) -> np.ndarray:
    """Require step sizes above 0, a number or (n_chains,); return them as float64 (n_chains,)."""
    steps = per_chain("step_size", value, n_chains)
    if not (steps > 0).all():
        raise ValueError(f"step_size: expected numbers above 0, got {value}")
    return steps


def check_count(name: str, value: int) -> None:
    """Require an integer of at least 1."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name}: expected an integer of at least 1, got {value!r}")


def per_chain(name: str, value: np.ndarray | float, n_chains: int) -> np.ndarray:
    """Bring finite numbers, one or (n_chains,), to float64 (n_chains,)."""
    values = np.asarray(value, dtype=np.float64)
    if values.shape not in ((), (n_chains,)):
        raise ValueError(f"{name}: expected a number or ({n_chains},), got shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{name}: expected finite numbers, got {value}")
    return np.broadcast_to(values, (n_chains,)).copy()
