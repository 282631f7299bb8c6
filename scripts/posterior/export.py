"""Draws for ArviZ."""

from pathlib import Path

import numpy as np
import torch

from boltzgen.storage import to_inference_data, write_atomically
from posterior.random import stream_for
from posterior.results import PosteriorResults
from posterior.settings import PosteriorConfig
from systems.posteriors import Posterior


def write_inference_data(
    path: Path, posterior: Posterior, config: PosteriorConfig, results: PosteriorResults
) -> None:
    """Write the weighted draws at the power nearest to 1 as netCDF, weights beside them.

    Also prior draws and posterior-predictive data where the model can make them.

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

    def fill(temporary: Path) -> None:
        found.to_netcdf(str(temporary), engine="h5netcdf")

    write_atomically(path, fill)


def _values(posterior: Posterior, x: torch.Tensor) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in posterior.space.constrain(x)[0].items()}
