"""Whole runs on posteriors, small ones: what they write, how they go on, and what they refuse."""

import json

import arviz
import h5py
import numpy as np
import pytest
import torch
from scipy import stats

import temper_posterior
from boltzgen.estimators import log_evidence
from boltzgen.storage import read_metrics
from pipeline.run_folder import RunFolder
from posterior.chains import run_ladders, rungs_of
from posterior.command import configure, parser, prior_offset
from posterior.evaluation import finer_grid
from posterior.model import new_flow, read_flow
from posterior.models import open_posterior
from posterior.random import stream_for
from posterior.settings import ChainConfig, PosteriorConfig
from systems.counting import CountedTarget
from systems.ledger import EnergyLedger
from systems.posteriors import Parameter, Posterior, TwoMoons
from tests.sources import ROOT

SMALL = ("--preset", "smoke", "--quiet", "--steps", "20")
MOONS = ("--model", "two_moons", "--beta", "0.5:2", "--observe", "0,0")
GENERATOR = torch.Generator().manual_seed(4)
EXAMPLE = ROOT / "examples" / "my_posterior.py"
HEAD = """
import torch
from systems.posteriors import Parameter, Posterior
"""


TIMED = ("seconds", "versions", "command")


def run(out, *words):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["temper_posterior.py", *map(str, words), "--out", str(out)])
        assert temper_posterior.main() == 0
    return json.loads((out / "summary.json").read_text())


@pytest.fixture(scope="module")
def moons(tmp_path_factory):
    """One amortised run, as (directory, words, summary)."""
    out = tmp_path_factory.mktemp("moons") / "run"
    words = (*MOONS, *SMALL, "--arviz")
    return out, words, run(out, *words)


def test_a_run_writes_what_it_says(moons):
    out, _, _ = moons
    assert {path.name for path in out.iterdir()} >= {
        "config.toml", "model.safetensors", "metrics.jsonl", "summary.json", "report.html",
        "table.csv", "samples.h5", "posterior.nc",
    }  # fmt: skip
    assert "two_moons" in (out / "report.html").read_text()
    with h5py.File(out / "samples.h5") as file:
        x, c, energy = (file[name][()] for name in ("x", "c", "energy"))
    target = TwoMoons()
    again = target.energy(torch.from_numpy(x).double(), torch.from_numpy(c).double())
    np.testing.assert_allclose(energy, again.numpy(), rtol=1e-5, atol=1e-5)
    assert sorted(set(c[:, 0].round(6))) == sorted(set(c[:, 0].round(6)) | {0.5, 1.0, 2.0})
    assert (c[:, 1:] == 0).all()


def test_what_is_written_for_arviz_says_how_it_is_weighted(moons):
    out, _, summary = moons
    weighted = arviz.from_netcdf(out / "posterior.nc")
    assert weighted.posterior.attrs["weights"] == "exp(sample_stats.log_weight)"
    assert weighted.posterior["theta"].shape == (1, 1000, 2)
    assert weighted.posterior_predictive["y"].shape == (1, 1000, 2)
    chains = arviz.from_netcdf(out / "chains.nc")
    assert chains.posterior["theta"].shape[::2] == (16, 2)
    assert set(arviz.summary(chains).index) == {"theta[0]", "theta[1]"}


def test_the_evidence_agrees_with_the_exact_one_even_from_a_bad_flow(moons):
    out, _, _ = moons
    with h5py.File(out / "samples.h5") as file:
        c, log_w = file["c"][()], file["log_w"][()]
    at = np.isclose(c[:, 0], 1.0)
    found = log_evidence(log_w[at].astype(np.float64))
    assert abs(found.value - TwoMoons().log_evidence(1.0, (0.0, 0.0))) < 5 * found.error + 0.1


def test_the_flow_that_is_read_is_the_one_that_was_trained(moons):
    """Its couplings have halves that are drawn and not kept: log q must be what training saw."""
    out, _, _ = moons
    folder = RunFolder(out, PosteriorConfig)
    config = folder.load_config()
    x = torch.randn(50, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    built = new_flow(config, x, torch.randn(50, 3, dtype=torch.float64, generator=GENERATOR))
    read = read_flow(folder, config).flow
    layers = [(a, b) for a, b in zip(built.bijection.layers, read.bijection.layers, strict=True)]
    assert all(torch.equal(a.moved, b.moved) for a, b in layers[1:])
    history = read_metrics(folder.metrics)
    target = TwoMoons()
    x = target.sample_prior(2000, generator=torch.Generator().manual_seed(2))
    y = target.simulate(x, generator=torch.Generator().manual_seed(3))
    c = torch.cat([torch.ones(len(x), 1, dtype=torch.float64), y], 1)
    nll = -read.log_prob(x, c).mean().item()
    assert nll < max(history[-1]["nll"], history[-2]["nll"]) + 0.3


def test_a_finished_run_is_taken_up_again_without_training(moons, call):
    out, words, summary = moons
    before = (out / "model.safetensors").stat().st_mtime_ns
    status, _, error = call(temper_posterior.main, *words, "--out", out, "--resume")
    assert status == 0, error
    assert (out / "model.safetensors").stat().st_mtime_ns == before
    again = json.loads((out / "summary.json").read_text())
    assert {k: v for k, v in again.items() if k not in TIMED} == {
        k: v for k, v in summary.items() if k not in TIMED
    }


def test_other_settings_are_not_taken_for_it(moons, refuses):
    out, words, _ = moons
    refuses(temper_posterior.main, *words, "--out", out, because="already holds a run")
    refuses(
        temper_posterior.main, *words, "--out", out, "--resume", "--seed", 5,
        because="seed is 0 there and 5 here",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("objective", "chains"), [("prior", True), ("draws", False), ("backward-kl", False)]
)
def test_a_model_of_ones_own_runs_with_every_objective(objective, chains, tmp_path):
    words = ["--model", f"{EXAMPLE}:counts", "--beta", "0:1", "--objective", objective, *SMALL]
    found = run(tmp_path / "run", *words, *(["--chains"] if chains else []))
    assert found["energy_calls"].get("chains", 0) > 0 or not (chains or objective == "draws")
    assert found["energy_calls"]["evaluation"] > 0


def test_sizes_reach_the_settings():
    words = ["--model", "eight_schools", "--beta", "0:1", "--bins", "5", "--points", "6x7"]
    config = configure(parser(None).parse_args(words), open_posterior("eight_schools"))
    assert config.flow.n_bins == 5
    assert (config.learn.n_controls, config.learn.n_samples) == (6, 7)


@pytest.mark.parametrize(
    ("words", "because"),
    [
        (("--model", "moons"), "--model: expected one of two_moons"),
        (("--model", "nowhere.py:posterior"), "there is no file nowhere.py"),
        (("--model", f"{EXAMPLE}:nothing"), "has no 'nothing'"),
        (("--model", f"{EXAMPLE}:COUNTS"), "to be a Posterior"),
        (("--beta", "1:0.5"), "--beta: expected LOW:HIGH"),
        (("--beta", "-1:1"), "--beta: expected LOW:HIGH"),
        (("--beta", "0.2:0.8"), "simulations are at 1"),
        (("--observe", "1"), "--observe: expected 2 numbers"),
        (("--observe", "a,b"), "--observe: expected numbers"),
        (("--objective", "prior"), "needs a posterior whose only control is beta"),
        (("--chains",), "--chains: expected a model whose only control is beta"),
        (("--model", "eight_schools", "--objective", "simulations"), "need a posterior with"),
        (("--model", "gmm6", "--beta", "0:1.5"), "bridges end at 1"),
        (("--steps", "0"), "--steps: expected a whole number above 0"),
        (("--bins", "1"), "--bins: expected 2 to 400"),
        (("--points", "32"), "--points: expected POWERSxSAMPLES"),
        (("--points", "4x1"), "with two samples or more"),
        (("--objective", "backward-kl", "--points", "4x4"), "backward-kl has no such points"),
    ],
)
def test_bad_arguments_are_one_line(words, because, refuses, tmp_path):
    refuses(
        temper_posterior.main, *MOONS, *SMALL, *words, "--out", tmp_path / "run", because=because
    )


@pytest.mark.parametrize(
    ("text", "because"),
    [
        (
            "posterior = Posterior(lambda v: v['a'].new_full((len(v['a']),), -torch.inf),"
            " lambda v: -v['a'] ** 2, [Parameter('a')], sample_prior=lambda n, g: {'a':"
            " torch.randn(n, generator=g)})\n",
            "-inf at all of 2000 draws of the prior",
        ),
        ("posterior = 3\n", "to be a Posterior or to return one, got int"),
        ("raise KeyError('a')\n", "fails: KeyError"),
        (
            "posterior = Posterior(lambda v: v['a'] * torch.nan, lambda v: -v['a'] ** 2,"
            " [Parameter('a')])\n",
            "log_likelihood: expected finite numbers or -inf",
        ),
        (
            "posterior = Posterior(lambda v: v['a'][:, None], lambda v: -v['a'] ** 2,"
            " [Parameter('a')])\n",
            "log_likelihood: expected a tensor of shape",
        ),
        (
            "posterior = Posterior(lambda v: -v['a'].detach() ** 2, lambda v: -v['a'] ** 2,"
            " [Parameter('a')])\n",
            "--objective draws differentiates it, expected operations of torch on its parameters, "
            "got a value",
        ),
        (
            "posterior = Posterior(lambda v: torch.from_numpy(-v['a'].numpy() ** 2),"
            " lambda v: -v['a'] ** 2, [Parameter('a')])\n",
            "on its parameters; they fail: Can't call numpy()",
        ),
    ],
)
def test_mistakes_in_a_model_file_are_one_line(text, because, refuses, tmp_path):
    path = tmp_path / "model.py"
    path.write_text(HEAD + text)
    refuses(
        temper_posterior.main, "--model", f"{path}:posterior", "--beta", "0.5:1", *SMALL,
        "--out", tmp_path / "run", because=because,
    )  # fmt: skip


def test_shipped_models_open():
    for name in ("two_moons", "slcp", "eight_schools", "funnel", "gmm40", "gmm6", "many_well"):
        assert open_posterior(name).event_shape


def normal_mean(width=3.0):
    """A normal mean with one observation at 1 of width 0.5; prior of a given width."""
    return Posterior(
        lambda v: -0.5 * ((v["m"] - 1) / 0.5) ** 2,
        lambda v: -0.5 * (v["m"] / width) ** 2 - np.log(width * np.sqrt(2 * np.pi)),
        [Parameter("m")],
        sample_prior=lambda n, g: {"m": width * torch.randn(n, generator=g, dtype=torch.float64)},
    )


def test_ladders_follow_the_posterior_at_every_power(generator):
    posterior, ledger = normal_mean(), EnergyLedger()
    config = ChainConfig(
        n_ladders=32, n_tuning=100, n_burn_in=100, n_steps=400, n_between=4, n_leapfrog=4,
        n_rungs=5,
    )  # fmt: skip
    reported = np.array([0.3, 1.0])  # the ladder goes down to the prior all the same
    betas = rungs_of(config, reported)
    assert {0.0, 0.3, 1.0} <= set(betas)
    assert np.diff(betas).min() > 0
    found = run_ladders(
        posterior, CountedTarget(posterior, ledger), config, betas, generator=generator,
        show_progress=False,
    )  # fmt: skip
    assert found.warnings == []
    assert ledger.total > 32 * len(betas) * 500
    assert found.at(0.77) is None
    both = np.concatenate([found.to_learn(0.3), found.held_out(0.3)])
    np.testing.assert_array_equal(both, found.at(0.3))
    assert len(found.held_out(0.3)) == 8
    for beta in (0.0, 0.3, 1.0):
        precision = beta / 0.25 + 1 / 9
        means = found.at(beta)[..., 0].mean(1)  # of each ladder
        z = (means.mean() - beta / 0.25 / precision) / (means.std(ddof=1) / np.sqrt(32))
        assert abs(z) < 4
        spreads = found.at(beta)[..., 0].var(1).mean() * precision
        assert spreads == pytest.approx(1, abs=0.15)


def test_the_offset_is_one_over_the_spread_of_log_l():
    """log L = -2 (m - 1)^2 with m of width 3: quartiles of a non-central chi-square."""
    law = stats.ncx2(1, 1 / 9)
    exact = 1 / (2 * 9 * (law.ppf(0.75) - law.ppf(0.25)))
    assert prior_offset(normal_mean(), 0) == pytest.approx(exact, rel=0.15)


def test_the_finer_grid_holds_the_reported_powers_however_small_the_offset():
    betas = np.array([0.0, 1e-9, 3e-6, 0.2, 1.0])
    grid = finer_grid(betas, 33, 1e-7)
    assert np.isin(betas, grid).all()
    assert len(grid) == 33
    assert (np.diff(grid) > 0).all()
    np.testing.assert_allclose(np.diff(np.log(grid + 1e-7), 2)[:6], 0, atol=1e-9)


def test_streams_of_other_seeds_and_purposes_differ():
    drawn = {
        torch.rand(1, generator=stream_for(purpose, seed), dtype=torch.float64).item()
        for purpose in ("points", "observations", "calibration")
        for seed in range(20)
    }
    assert len(drawn) == 60


def test_an_unnormalised_prior_is_named(tmp_path):
    path = tmp_path / "model.py"
    path.write_text(
        HEAD + "posterior = Posterior(lambda v: -0.5 * (v['a'] - 1) ** 2, lambda v: -0.5 * v['a']"
        " ** 2 + 3.0, [Parameter('a')], sample_prior=lambda n, g: {'a': torch.randn(n, "
        "generator=g, dtype=torch.float64)})\n"
    )
    found = run(tmp_path / "run", "--model", f"{path}:posterior", "--beta", "0:1", *SMALL)
    assert any("log_prior is not normalised" in text for text in found["warnings"])


def test_a_changed_model_file_is_not_taken_for_the_old_one(tmp_path, refuses):
    path = tmp_path / "model.py"
    path.write_text(EXAMPLE.read_text())
    words = ("--model", f"{path}:counts", "--beta", "0.2:1", *SMALL)
    run(tmp_path / "run", *words)
    path.write_text(EXAMPLE.read_text() + "\n# changed\n")
    refuses(
        temper_posterior.main, *words, "--out", tmp_path / "run", "--resume",
        because="model_hash is",
    )  # fmt: skip
