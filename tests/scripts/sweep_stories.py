"""Invented results of sweeps with the look of real ones, for the tests of pages and tables."""

import numpy as np

from boltzgen.estimators import Estimate
from boltzgen.estimators.gamma_method import GammaEstimate
from boltzgen.training import TrainConfig
from sweep.lattice import LatticeConfig
from sweep.models import open_lattice
from sweep.results import Curve, FlowAt, SweepResults, compare
from sweep.settings import (
    DataConfig,
    EvaluationConfig,
    FlowConfig,
    LearnConfig,
    MonteCarloConfig,
    SweepConfig,
)
from sweep.story import SweepStory

KAPPAS = tuple(float(k) for k in np.round(np.linspace(0.2, 0.34, 21), 6))
LAMBDAS = (0.01, 0.02, 0.04, 0.08)


def truth(values):
    """Smooth observables with a transition at kappa of 0.27 or a little more."""
    kappa = values[:, 0]
    critical = 0.27 + (0.3 * (values[:, 1] - 0.02) if values.shape[1] > 1 else 0.0)
    t = (kappa - critical) / 0.012
    step = 1 / (1 + np.exp(-t))
    return {
        "abs_m": 0.25 + 0.05 * np.log1p(np.exp(t)) + 0.9 * step,
        "chi": 1.5 + 14 * np.exp(-(t**2) / 6),
        "binder": 0.66 * step,
        "action": 0.55 - 0.25 * np.log1p(np.exp(0.5 * t)),
        "heat_capacity": 0.4 + 1.3 * np.exp(-((t - 0.8) ** 2) / 5),
    }


def sweep_config(*, values, controls, method="both", objective="trade"):
    fixed = () if "lambda" in controls else ("lambda",)
    middle = tuple(v[len(v) // 2] for v in values)
    return SweepConfig(
        lattice=LatticeConfig(
            kind="phi4", shape=(8, 8), controls=controls, fixed_names=fixed,
            fixed_values=(0.02,) * len(fixed),
        ),
        values=values, method=method, preset="default", seed=7, flow=FlowConfig(),
        learn=LearnConfig(objective=objective),
        data=DataConfig(boundaries=(tuple(v[0] for v in values), middle)),
        train=TrainConfig(n_steps=1200), monte_carlo=MonteCarloConfig(),
        evaluation=EvaluationConfig(),
    )  # fmt: skip


def flow_at(exact, rng, *, share, khat, forward, log_z):
    def scattered(value, error, bias=0.0):
        error = error * (0.2 + abs(value))
        return Estimate(float(value + bias * error + error * rng.normal()), float(error))

    return FlowAt(
        raw={k: scattered(v, 0.004, 6.0) for k, v in exact.items()},
        reweighted={k: scattered(v, 0.008 / np.sqrt(share)) for k, v in exact.items()},
        ess_reverse=Estimate(share, 0.006),
        ess_forward=Estimate(0.95 * share * forward, 0.012) if forward else None,
        khat=khat,
        log_z=Estimate(float(log_z + 0.02 * rng.normal()), 0.02),
    )


def gamma_at(value, rng, tau):
    error = 0.005 * (0.2 + abs(value)) * np.sqrt(tau / 3)
    return GammaEstimate(
        value=float(value + error * rng.normal()), error=float(error), error_of_error=0.02 * error,
        tau_int=tau, tau_int_error=0.1 * tau, window=12, consistency=0.4, n_records=64_000,
    )  # fmt: skip


def free_energies(free, rng, *, with_flow, with_chains, with_exact):
    def curve(error, relative=False):
        noise = np.cumsum(rng.normal(size=free.size)) if relative else rng.normal(size=free.size)
        errors = error * (np.sqrt(np.arange(free.size)) if relative else np.ones(free.size))
        start = free[0] if relative else 0.0
        return Curve(values=free - start + error * noise * (errors > 0), errors=errors,
                     relative=relative)  # fmt: skip

    found = {}
    if with_flow:
        found |= {
            "importance sampling": curve(0.02),
            "integral of dE/dc": curve(0.008, relative=True),
            "mixture of flows": curve(0.011),
        }
    if with_chains:
        found["Monte Carlo, MBAR"] = curve(0.015)
    if with_exact:
        found["exact"] = Curve(values=free, errors=np.zeros(free.size))
    return found


def history(n_steps=600):
    rng = np.random.default_rng(3)
    rows = [
        {
            "step": step,
            "nll": 61 + 30 * np.exp(-step / 60) + 0.4 * rng.normal(),
            "gradient_norm": float(np.exp(3 - step / 300 + 0.3 * rng.normal())),
        }
        for step in range(1, n_steps + 1)
    ]
    for row in rows[200:]:
        row["trade_rms"] = float(np.exp(1.2 - row["step"] / 250 + 0.2 * rng.normal()))
    return rows


def story(*, kappas=KAPPAS, lambdas=None, method="both", exact=False, objective="trade"):
    """A story; one control without lambdas."""
    rng = np.random.default_rng(0)
    values = (tuple(kappas),) if lambdas is None else (tuple(kappas), tuple(lambdas))
    controls = ("kappa",) if lambdas is None else ("kappa", "lambda")
    config = sweep_config(values=values, controls=controls, method=method, objective=objective)
    grid = np.stack([a.ravel() for a in np.meshgrid(*values, indexing="ij")], 1)
    known = truth(grid)
    at = [{name: v[k] for name, v in known.items()} for k in range(len(grid))]
    free = -30.0 - 400 * (grid[:, 0] - 0.2) ** 2 * (1 + 10 * grid[:, 0])
    critical = np.exp(-((grid[:, 0] - 0.285) ** 2) / 0.0008)
    flow, chains = method != "mc", method != "flow"
    found = SweepResults(
        values=grid,
        couplings=[config.lattice.couplings(tuple(v)) for v in grid],
        exact=[
            {"abs_m": a["abs_m"], "log_z": -f} if exact else {}
            for a, f in zip(at, free, strict=True)
        ],
        flow=[
            flow_at(a, rng, share=0.9 - 0.7 * c, khat=0.2 + 0.45 * c, forward=chains, log_z=-f)
            for a, c, f in zip(at, critical, free, strict=True)
        ] if flow else [],
        monte_carlo=[
            {k: gamma_at(v, rng, 1 + 20 * c) for k, v in a.items()}
            for a, c in zip(at, critical, strict=True)
        ] if chains else [],
        free=free_energies(free, rng, with_flow=flow, with_chains=chains, with_exact=exact),
    )  # fmt: skip
    lattice = open_lattice(config.lattice)
    if flow and chains:
        found.agreement.update(compare(lattice, found.flow, found.monte_carlo))
    return SweepStory(
        lattice=lattice, config=config, results=found, history=history() if flow else [],
        seconds={"data": 4.0, "training": 310.0, "flow": 60.0, "monte carlo": 42.0},
        command="python scripts/sweep_lattice.py --system phi4/8x8",
    )  # fmt: skip
