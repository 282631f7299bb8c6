"""Invented results on posteriors with the look of real ones, for the tests of pages and tables."""

import numpy as np
from scipy import stats

from boltzgen.estimators import (
    Estimate,
    coverage,
    forward_ess,
    log_evidence,
    pareto_khat,
    reverse_ess,
    uniformity,
    weighted_moments,
)
from boltzgen.training import TrainConfig
from pipeline.routes import Route
from posterior.results import (
    AtBeta,
    Calibration,
    OverObservations,
    PosteriorResults,
    PosteriorStory,
    ProposalChains,
    Reference,
    Samples,
)
from posterior.settings import (
    ChainConfig,
    EvaluationConfig,
    FlowConfig,
    LearnConfig,
    PosteriorConfig,
)

BETAS = (0.4, 0.7, 1.0, 2.1)
LEVELS = (0.5, 0.8, 0.9)
N_RANKS = 19


def at_beta(beta, theta, log_w, rng, *, reference=None, blocks=None, forward=None):
    """Everything at one power from samples and draws; the classifier's answer is invented."""
    moments = weighted_moments(theta, log_w)
    draws = None
    if reference is not None:
        known = weighted_moments(reference, blocks=blocks)
        draws = Reference(
            "exact draws" if blocks is None else "replica exchange", reference, reference, blocks,
            known.mean, known.mean_error, known.spread, known.spread_error,
        )  # fmt: skip
    return AtBeta(
        samples=Samples(beta, theta, theta, log_w, np.zeros(len(log_w))),
        ess_reverse=reverse_ess(log_w, rng=rng, n_resamples=20),
        ess_forward=None if forward is None else forward_ess(forward, rng=rng, n_resamples=20),
        khat=pareto_khat(log_w),
        log_z=log_evidence(log_w),
        mean=moments.mean, mean_error=moments.mean_error, spread=moments.spread,
        spread_error=moments.spread_error, reference=draws,
        c2st=None if reference is None else (Estimate(0.5 + 0.01 * rng.normal(), 0.01), 0.4),
    )  # fmt: skip


def log_z_of(betas):
    """Log evidence over the powers."""
    return -3.0 * np.log1p(4.0 * np.asarray(betas))


def log_w_of(target, flow, x, beta):
    return np.atleast_1d(target.logpdf(x) + log_z_of(beta) - flow.logpdf(x))


def gaussian_points(n, betas, rng, *, with_reference, n_samples):
    """Correlated normal posteriors, and a flow that is a little too wide."""
    found = []
    near = 0.6 ** np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    for beta in betas:
        mean = 0.3 * np.arange(n) * beta / (beta + 0.3)
        covariance = near / (1 + 10 * beta)
        target = stats.multivariate_normal(mean, covariance)
        flow = stats.multivariate_normal(mean, (1 + 0.15 / np.sqrt(n)) ** 2 * covariance)
        x, draws = (each.rvs(n_samples, random_state=rng).reshape(-1, n) for each in (flow, target))
        known = {
            "reference": draws, "blocks": np.arange(n_samples) // 10,
            "forward": log_w_of(target, flow, draws, beta),
        }  # fmt: skip
        log_w = log_w_of(target, flow, x, beta)
        found.append(at_beta(beta, x, log_w, rng, **(known if with_reference else {})))
    return tuple(found)


def routes(points, rng, *, with_exact):
    """All routes; the integral is relative and has an error of its rule."""
    betas = np.array([point.beta for point in points])
    exact, noise = log_z_of(betas), rng.normal(size=(2, len(betas)))
    found = {"exact": Route(exact, np.zeros(len(betas)))} if with_exact else {}
    found["importance sampling"] = Route(
        np.array([p.log_z.value for p in points]), np.array([p.log_z.error for p in points])
    )
    if len(betas) > 1:
        found["mixture of flows"] = Route(exact + 0.004 * noise[0], np.full(len(betas), 0.004))
        steps = 0.006 * np.sqrt(np.arange(len(betas)))
        found["integral of log L"] = Route(
            exact - exact[0] + steps * noise[1], steps, relative=True,
            discretisation=np.where(steps > 0, 0.002, np.nan),
        )  # fmt: skip
    return found


def over_observations(betas, rng, *, n=40, with_exact=True):
    betas = np.array(betas)
    quality = rng.beta(8, 2, size=(n, 1))
    ess = quality * np.exp(-0.1 * np.square(betas - 1))
    khat = 0.8 - 0.7 * ess + 0.05 * rng.normal(size=ess.shape)
    exact = log_z_of(betas) + rng.normal(size=(n, 1))
    error = 0.02 / np.sqrt(ess)
    return OverObservations(
        betas=betas, observations=rng.normal(size=(n, 2)), ess=ess,
        ess_forward=0.97 * ess if with_exact else None, khat=khat,
        log_z=exact + error * rng.normal(size=ess.shape), log_z_error=error,
        exact_log_z=exact if with_exact else None,
    )  # fmt: skip


def calibration(labels, rng, *, n_truths=300, n_draws=N_RANKS, levels=LEVELS, bias=0.15):
    """Ranks that are uniform once reweighted, and too often high before."""
    p = len(labels)
    uniform = rng.uniform(size=(2, n_truths, p))
    ranks = {
        "flow, raw": (uniform[0] ** (1 - bias) * (n_draws + 1)).astype(np.int64),
        "flow, reweighted": (uniform[1] * (n_draws + 1)).astype(np.int64),
    }
    return Calibration(
        labels=labels, n_draws=n_draws, ranks=ranks,
        uniformity={k: [uniformity(r, n_draws) for r in v.T] for k, v in ranks.items()},
        coverage={k: [coverage(r, n_draws, levels) for r in v.T] for k, v in ranks.items()},
        n_effective=(83.0, 1510.0),
    )  # fmt: skip


def chains(labels, rng, *, n_chains=8, n_steps=200):
    steps = rng.normal(size=(n_chains, n_steps, len(labels)))
    moves = rng.uniform(size=(n_chains, n_steps)) < 0.8
    for k in range(1, n_steps):
        steps[:, k] = np.where(moves[:, k, None], steps[:, k], steps[:, k - 1])
    return ProposalChains(1.0, 0.8, Estimate(0.75, 0.03), labels[-1], steps)


def history(n_steps=300):
    rng = np.random.default_rng(3)
    return [
        {
            "step": step, "nll": 2 + 3 * np.exp(-step / 60) + 0.1 * rng.normal(),
            "trade_rms": float(np.exp(1 - step / 150 + 0.2 * rng.normal())),
            "gradient_norm": float(np.exp(2 - step / 200 + 0.3 * rng.normal())),
        }
        for step in range(1, n_steps + 1)
    ]  # fmt: skip


def config(betas, *, model="gaussian", observation=(0.1, -0.2), offset=0.0):
    return PosteriorConfig(
        model=model, model_hash="", low=betas[0], high=betas[-1], observation=observation,
        preset="default", seed=5, flow=FlowConfig(),
        learn=LearnConfig(objective="simulations", offset=offset),
        train=TrainConfig(n_steps=300), chains=ChainConfig(), with_chains=False,
        evaluation=EvaluationConfig(),
    )  # fmt: skip


def story_of(results, own, *, title="gaussian"):
    return PosteriorStory(
        title=title, config=own, results=results, history=history(),
        energy_calls={"training": 1_280_000, "evaluation": 600_000},
        seconds={"training": 310.0, "evaluation": 45.0},
        command="python scripts/temper_posterior.py --model gaussian --beta 0.4:2.1",
    )  # fmt: skip


def story(*, n=3, betas=BETAS, without=(), n_samples=400, offset=0.0):
    """A story of n components without what is named: "reference", "exact", "over", ..."""
    rng = np.random.default_rng(n)
    labels = tuple(f"theta[{i}]" for i in range(n - 1)) + ("tau",)
    points = gaussian_points(
        n, betas, rng, with_reference="reference" not in without, n_samples=n_samples
    )
    with_exact = "exact" not in without
    results = PosteriorResults(
        labels=labels, points=points, evidence=routes(points, rng, with_exact=with_exact),
        over=None if "over" in without else over_observations(betas, rng, with_exact=with_exact),
        calibration=None if "calibration" in without else calibration(labels, rng),
        chains=None if "chains" in without else chains(labels, rng), warnings=(),
    )  # fmt: skip
    return story_of(results, config(betas, offset=offset))
