"""A flow over many observations, its calibration, and chains that use it as proposal."""

import numpy as np
import torch
from numpy.random import default_rng
from torch import Generator, Tensor

from boltzgen.errors import NonFiniteError, NotConvergedError
from boltzgen.estimators import (
    Estimate,
    calibration_ranks,
    coverage,
    effective_sample_size,
    forward_ess,
    gamma_method,
    log_evidence,
    pareto_khat,
    resample,
    uniformity,
)
from boltzgen.kernels import FlowProposal, run_chain
from boltzgen.plots.series import RAW, WEIGHTED
from boltzgen.random import spawn
from pipeline.console import ProgressBar
from posterior.evaluation import Surroundings, reported_betas
from posterior.exact import exact_draws, exact_log_z
from posterior.random import stream_for
from posterior.results import Calibration, OverObservations, ProposalChains

_LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_N_EXACT = 500
_N_CHAINS = 16
_DISCARDED = 0.1


def simulated_pairs(around: Surroundings, n: int, *, generator: Generator) -> tuple[Tensor, Tensor]:
    """Free numbers from the prior (n, D), and data given them (n, M), float64."""
    drawing, simulating = spawn(generator, 2)
    posterior = around.model.posterior
    x = posterior.sample_prior(n, generator=drawing)
    return x, posterior.simulate(x, generator=simulating).double()


def over_observations(around: Surroundings) -> OverObservations | None:
    """Weights and evidence for observations simulated anew; None where y is no control."""
    model, own = around.model, around.config.evaluation
    if not model.posterior.observed:
        return None
    pairs, drawing, exact = spawn(stream_for("observations", around.config.seed), 3)
    _, y = simulated_pairs(around, own.n_observations, generator=pairs)
    betas = reported_betas(around.config)
    shape = (len(y), len(betas))
    ess, forward, khat, log_z, error, known = (np.full(shape, np.nan) for _ in range(6))
    rng = default_rng([around.config.seed, 3])
    with ProgressBar("observations", unit="power", enabled=around.show_progress) as progress:
        for k, beta in enumerate(betas):
            progress(k, len(betas))
            c = torch.cat([torch.full((len(y), 1), float(beta), dtype=torch.float64), y], 1)
            _, weights = model.draw_each(c, own.n_weighted, generator=drawing)
            for m, log_w in enumerate(weights):
                at = y[m].tolist()
                ess[m, k] = effective_sample_size(log_w) / log_w.size
                khat[m, k] = pareto_khat(log_w)
                found = log_evidence(log_w)
                log_z[m, k], error[m, k] = found.value, found.error
                exactly = exact_log_z(model.posterior, float(beta), at)
                known[m, k] = np.nan if exactly is None else exactly
                x = exact_draws(model.posterior, float(beta), at, _N_EXACT, generator=exact)
                if x is not None:
                    log_w_there = model.log_weights(torch.from_numpy(x), float(beta), at)
                    forward[m, k] = forward_ess(log_w_there, rng=rng, n_resamples=2).value
        progress(len(betas), len(betas))
    return OverObservations(
        betas=betas, observations=y.numpy(), ess=ess,
        ess_forward=None if np.isnan(forward).any() else forward, khat=khat, log_z=log_z,
        log_z_error=error, exact_log_z=None if np.isnan(known).any() else known,
    )  # fmt: skip


def calibrate(around: Surroundings) -> Calibration | None:
    """Ranks of true parameters among posterior draws at beta = 1.

    None where data cannot be simulated, y is no control, or the powers do not reach 1.
    """
    model, own, config = around.model, around.config.evaluation, around.config
    if not model.posterior.observed or own.n_calibration == 0 or not config.low <= 1 <= config.high:
        return None
    pairs, drawing = spawn(stream_for("calibration", config.seed), 2)
    truths, y = simulated_pairs(around, own.n_calibration, generator=pairs)
    c = torch.cat([torch.ones(len(y), 1, dtype=torch.float64), y], 1)
    rng = default_rng([config.seed, 4])
    raw, weighted, sizes = [], [], []
    with ProgressBar("calibration", unit="pair", enabled=around.show_progress) as progress:
        for done, rows in enumerate(c.split(20)):
            progress(20 * done, len(c))
            xs, log_w = model.draw_each(rows, own.n_weighted, generator=drawing)
            for x, weights in zip(xs, log_w, strict=True):
                theta = model.components(x)
                raw.append(theta[: own.n_ranks])
                weighted.append(theta[resample(weights, own.n_ranks, rng=rng)])
                sizes.append(effective_sample_size(weights))
        progress(len(c), len(c))
    theta = model.components(truths)
    ranks = {
        name: calibration_ranks(theta, np.stack(draws), rng=rng)
        for name, draws in ((RAW, raw), (WEIGHTED, weighted))
    }
    return Calibration(
        labels=model.labels, n_draws=own.n_ranks, ranks=ranks,
        uniformity={k: [uniformity(r, own.n_ranks) for r in v.T] for k, v in ranks.items()},
        coverage={k: [coverage(r, own.n_ranks, _LEVELS) for r in v.T] for k, v in ranks.items()},
        n_effective=(float(np.min(sizes)), float(np.median(sizes))),
    )  # fmt: skip


def proposal_chains(around: Surroundings) -> ProposalChains:
    """Exact chains with the flow as proposal.

    Raises:
        NonFiniteError: No sample of the flow has any weight.
    """
    model, config = around.model, around.config
    beta = min(max(config.low, 1.0), config.high)
    stream, moving = spawn(stream_for("proposal", config.seed), 2)
    c = model.controls(beta, around.y, _N_CHAINS)
    kernel = FlowProposal(model.target, model.flow)
    # Independent draws of the target as the weights have it, so that no chain starts astray.
    samples = model.draw(beta, around.y, 50 * _N_CHAINS, generator=stream)
    start = resample(samples.log_w, _N_CHAINS, rng=default_rng([config.seed, 5]))
    with torch.no_grad():
        state = kernel.init(torch.from_numpy(samples.x[start]), c)
        run = run_chain(kernel, state, c, config.evaluation.n_chain_steps, generator=moving)
    first = int(_DISCARDED * len(run.xs))
    xs = run.xs[first:].transpose(0, 1)
    theta = model.components(xs.reshape(-1, xs.shape[-1])).reshape(*xs.shape[:2], -1)
    tau, label = Estimate(0.0, 0.0), ""
    try:
        for name, series in zip(model.labels, np.moveaxis(theta, -1, 0), strict=True):
            found = gamma_method(np.ascontiguousarray(series))
            if found.tau_int > tau.value:
                tau, label = Estimate(found.tau_int, found.tau_int_error), name
    except (NonFiniteError, NotConvergedError):
        tau, label = Estimate(float("inf"), float("nan")), name
    return ProposalChains(beta, float(run.acceptance.mean()), tau, label, theta)
