"""Draws for ArviZ."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from boltzgen.storage import to_inference_data, write_atomically
from posterior.random import stream_for
from posterior.results import PosteriorResults, ProposalChains
from posterior.settings import PosteriorConfig
from systems.posteriors import Posterior

if TYPE_CHECKING:
    from arviz import InferenceData


def write_inference_data(
    folder: Path, posterior: Posterior, config: PosteriorConfig, results: PosteriorResults
) -> None:
    """Write posterior.nc and chains.nc.

    The first holds the draws of the flow at the power nearest to 1, their log-weights beside them,
    and prior draws and posterior-predictive data where the model can make them. The second holds
    the chains that had the flow as proposal: unweighted draws, of which ArviZ gives R-hat.

    Raises:
        ImportError: ArviZ or h5netcdf is not installed.
    """
    point = min(results.points, key=lambda one: abs(one.beta - 1))
    x = torch.from_numpy(point.samples.x)
    drawing, predicting = (stream_for(k, config.seed) for k in ("prior draws", "predictions"))
    groups: dict[str, dict[str, np.ndarray]] = {}
    if posterior.can_sample_prior:
        groups["prior"] = _values(posterior, posterior.sample_prior(len(x), generator=drawing))
    if posterior.can_simulate:
        y = posterior.simulate(x, generator=predicting)
        groups["posterior_predictive"] = {"y": y.numpy()}
    if config.observation:
        groups["observed_data"] = {"y": np.array(config.observation)}
    found = to_inference_data(
        _values(posterior, x), chained=False, log_weights=point.samples.log_w, groups=groups,
        attributes={"beta": point.beta, "model": config.model},
    )  # fmt: skip
    _write(folder / "posterior.nc", found)
    if results.chains is not None:
        _write_chains(folder / "chains.nc", posterior, config, results.chains)


def _write_chains(
    path: Path, posterior: Posterior, config: PosteriorConfig, chains: ProposalChains
) -> None:
    """Chains by parameter, (n_chains, n_steps, *shape) each."""
    parameters = posterior.space.parameters
    ends = np.cumsum([len(parameter.labels) for parameter in parameters])
    pieces = np.split(chains.theta, ends[:-1], axis=-1)
    draws = {
        parameter.name: piece.reshape(*piece.shape[:2], *parameter.shape)
        for parameter, piece in zip(parameters, pieces, strict=True)
    }
    found = to_inference_data(
        draws, chained=True, attributes={"beta": chains.beta, "model": config.model}
    )
    _write(path, found)


def _write(path: Path, found: "InferenceData") -> None:
    def fill(temporary: Path) -> None:
        found.to_netcdf(str(temporary), engine="h5netcdf")

    write_atomically(path, fill)


def _values(posterior: Posterior, x: torch.Tensor) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in posterior.space.constrain(x)[0].items()}
