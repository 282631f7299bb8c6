"""Posterior draws as the InferenceData of ArviZ, with their weights beside them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from boltzgen.errors import NonFiniteError

if TYPE_CHECKING:
    import arviz

Draws = Mapping[str, np.ndarray]

_AS_POSTERIOR = ("posterior_predictive", "log_likelihood")
_AS_PRIOR = ("prior", "prior_predictive")
_DATA = ("observed_data", "constant_data")
_GROUPS = (*_AS_POSTERIOR, *_AS_PRIOR, *_DATA)

EQUAL, WEIGHTED = "equal", "exp(sample_stats.log_weight)"


def to_inference_data(
    posterior: Draws,
    *,
    chained: bool = False,
    energy: np.ndarray | None = None,
    log_weights: np.ndarray | None = None,
    groups: Mapping[str, Draws] | None = None,
    attributes: Mapping[str, str | int | float] | None = None,
) -> "arviz.InferenceData":
    """Put draws, their energies and weights, and data together for ArviZ.

    Weighted draws stay weighted: their log-weights become the variable "log_weight" of the group
    sample_stats, and the attribute "weights" of the whole, of the posterior and of what goes with
    it says "exp(sample_stats.log_weight)" instead of "equal". ArviZ does not know of weights, its
    summaries and plots take all draws alike; for these draw equally weighted ones first
    (`boltzgen.estimators.resample`).

    Args:
        posterior: Draws by the name of a parameter, each (n_draws, *shape) or, if chained,
            (n_chains, n_draws, *shape), all alike in their number.
        chained: Whether arrays of draws have a first axis of chains, as R-hat needs; independent
            draws of a flow have none and become one chain.
        energy: Reduced energies of the posterior draws, (n_draws,) or (n_chains, n_draws); they
            become lp = -energy of sample_stats.
        log_weights: Log-weights of the posterior draws up to a constant, shaped as the energies;
            None for draws of equal weight.
        groups: More draws by group and name: "posterior_predictive" and "log_likelihood", one for
            each posterior draw; "prior" and "prior_predictive", one for each prior draw;
            "observed_data" and "constant_data", without axes of draws.
        attributes: Anything worth knowing: system, seed, version.

    Raises:
        ImportError: ArviZ is not installed.
        ValueError: A name or shape is wrong, or there are no draws.
        NonFiniteError: A log-weight is NaN or +inf, or all are -inf; an energy is NaN.
    """
    try:
        import arviz
    except ImportError as error:
        raise ImportError("to_inference_data needs ArviZ: pip install 'arviz<1'") from error
    given = dict(groups or {})
    unknown = sorted(set(given) - set(_GROUPS))
    if unknown:
        raise ValueError(f"groups: expected some of {', '.join(_GROUPS)}, got {', '.join(unknown)}")
    if "weights" in (attributes or {}):
        raise ValueError('attributes: expected names other than "weights", which is set here')
    together = {"posterior": posterior, **{k: given[k] for k in _AS_POSTERIOR if k in given}}
    shape = _shape_of_draws(together, chained=chained)
    before = {k: given[k] for k in _AS_PRIOR if k in given}
    if before:
        _shape_of_draws(before, chained=chained)
    stats = _sample_stats(energy, log_weights, shape)
    sampled = {"sample_stats": stats} if stats else {}
    with_chains: dict[str, Any] = {
        group: {name: values if chained else values[None] for name, values in draws.items()}
        for group, draws in {**together, **before, **sampled}.items()
    }
    plain: dict[str, Any] = {
        k: {name: np.asarray(v) for name, v in given[k].items()} for k in _DATA if k in given
    }
    weights = EQUAL if log_weights is None else WEIGHTED
    data = arviz.from_dict(**with_chains, **plain, attrs={**(attributes or {}), "weights": weights})
    for group in together:
        data[group].attrs["weights"] = weights
    return data


def _shape_of_draws(groups: Mapping[str, Draws], *, chained: bool) -> tuple[int, ...]:
    """The axes of draws that all arrays have in common: (n_draws,) or (n_chains, n_draws).

    Raises:
        ValueError: They have none, they differ, or there are no draws.
    """
    n_axes, wanted = (
        (2 if chained else 1),
        "(n_chains, n_draws, ...)" if chained else "(n_draws, ...)",
    )
    found: tuple[int, ...] | None = None
    for group, draws in groups.items():
        if not draws:
            raise ValueError(f"{group}: expected draws by name, got none")
        for name, values in draws.items():
            if not isinstance(values, np.ndarray) or values.ndim < n_axes or values.size == 0:
                got = values.shape if isinstance(values, np.ndarray) else type(values).__name__
                raise ValueError(f"{group}: expected {name} to be an array {wanted}, got {got}")
            if found is None:
                found = values.shape[:n_axes]
            if values.shape[:n_axes] != found:
                raise ValueError(
                    f"{group}: expected {name} to have {found} draws, got {values.shape[:n_axes]}"
                )
    if found is None:
        raise ValueError("posterior: expected draws by name, got none")
    return found


def _sample_stats(
    energy: np.ndarray | None, log_weights: np.ndarray | None, shape: tuple[int, ...]
) -> dict[str, np.ndarray]:
    stats = {}
    for name, values in (("energy", energy), ("log_weights", log_weights)):
        if values is not None and values.shape != shape:
            raise ValueError(f"{name}: expected shape {shape}, got {values.shape}")
        n_nan = 0 if values is None else int(np.isnan(values).sum())
        if n_nan:
            raise NonFiniteError(f"{name}: expected numbers, got {n_nan} NaN")
    if energy is not None:
        stats["lp"] = -energy
    if log_weights is not None:
        if np.isposinf(log_weights).any() or np.isneginf(log_weights).all():
            raise NonFiniteError("log_weights: expected finite numbers or -inf, not all -inf")
        stats["log_weight"] = log_weights
    return stats
