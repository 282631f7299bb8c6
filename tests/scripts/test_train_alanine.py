import json
import random
import re
import signal
import time
import tomllib

import h5py
import numpy as np
import pytest
import torch

import train_alanine
from boltzgen.flows.free_form import FreeFormFlow
from boltzgen.storage import load_tensors, read_metrics, read_samples, read_u_kn
from pipeline.model import load_model
from pipeline.run_directory import RunDirectory
from pipeline.settings import PRESETS
from systems.molecules import OpenMMTarget
from systems.units import GAS_CONSTANT
from tests.scripts.conftest import start_python

pytestmark = pytest.mark.openmm

FILES = (
    "checkpoint.safetensors config.toml metrics.jsonl model.safetensors report.html samples.h5 "
    "summary.json system.xml topology.pdb u_kn.h5"
).split()
N_STEPS = PRESETS["smoke"].train.n_steps
N_SAMPLES = PRESETS["smoke"].evaluation.n_samples

# The main job with a checkpoint every seven steps, so that a kill leaves something to go on from.
OFTEN = """
import dataclasses, sys
import train_alanine
configure = train_alanine.configure
train_alanine.configure = lambda *a: dataclasses.replace(configure(*a), checkpoint_every=7)
sys.exit(train_alanine.main())
"""


@pytest.fixture(scope="module")
def summary(smoke):
    return json.loads((smoke.path / "summary.json").read_text())


def test_a_run_directory_is_complete(smoke):
    assert sorted(p.name for p in smoke.path.iterdir()) == FILES
    config = tomllib.loads((smoke.path / "config.toml").read_text())
    assert (config["low"], config["high"], config["seed"]) == (300.0, 600.0, 0)


def test_the_terminal_shows_a_table_the_ledger_and_the_report(smoke):
    for words in ("ESS/N", "F/kT", "k-hat", "energy calls: 38,400 data", "report.html"):
        assert words in smoke.printed


def test_the_summary_has_what_it_promises(summary):
    assert summary["system"] == "ala2/ff96-obc1"
    assert summary["T"] == [300.0, 450.0, 600.0]
    for key in ("ess_reverse", "ess_forward", "khat", "free_energy", "free_energy_error"):
        assert len(summary[key]) == 3, key
    assert all(0 < share <= 1 for share in summary["ess_reverse"])
    assert summary["ess_forward"][:2] == [None, None]
    assert 0 < summary["ess_forward"][2] <= 1
    assert summary["free_energy"][0] == summary["free_energy_error"][0] == 0
    assert all(error > 0 for error in summary["free_energy_error"][1:])
    assert set(summary["energy_calls"]) == {"data", "training", "evaluation"}
    assert all(isinstance(n, int) and n > 0 for n in summary["energy_calls"].values())
    assert summary["energy_calls"]["evaluation"] == 3 * N_SAMPLES
    assert summary["wall_seconds"] > 0
    assert summary["seed"] == 0
    assert {"boltzgen-flows", "python", "torch", "openmm", "numpy", "pymbar"} <= set(
        summary["versions"]
    )
    for key in ("F", "U", "S", "C_v"):
        assert len(summary[key]) == len(summary[f"{key}_error"]) == 3


def test_unreliable_weights_are_called_so(smoke, summary):
    doubtful = [t for t, khat in zip(summary["T"], summary["khat"], strict=True) if khat >= 0.7]
    page = (smoke.path / "report.html").read_text()
    for temperature in doubtful:
        assert any(f"at {temperature:g} K" in text for text in summary["warnings"])
    assert all(text.split(":")[0] in page for text in summary["warnings"])


def test_the_report_needs_no_network(smoke):
    page = (smoke.path / "report.html").read_text()
    sources = re.findall(r"""\b(?:src|href|url|srcset)\s*[=(]\s*["']?([^"'\s)>]{1,40})""", page)
    assert len(sources) > 5
    assert [s for s in sources if not s.startswith(("data:", "#"))] == []
    assert not re.search(r"https?://|<script\b[^>]*src|@import", page)
    assert page.rstrip().endswith("</html>")


def test_the_energies_in_u_kn_solve_to_the_free_energies(smoke, summary):
    energies = read_u_kn(smoke.path / "u_kn.h5")
    assert energies.u_kn.shape == (6, 3 * N_SAMPLES)
    assert energies.n_k.tolist() == [N_SAMPLES] * 3 + [0] * 3
    assert energies.state_names[3] == "target 300 K"
    # On the mixture of the models, whose densities are normalised, Z needs no equation.
    log_mixture = np.logaddexp.reduce(-energies.u_kn[:3], axis=0)
    log_z = np.logaddexp.reduce(-energies.u_kn[3:] - log_mixture, axis=1)
    assert np.allclose(log_z[0] - log_z, summary["free_energy_mixture"])


def test_the_samples_carry_their_energies_and_weights(smoke, summary):
    samples = read_samples(smoke.path / "samples.h5")
    assert samples.units == {"x": "nm", "c": "K", "energy": "kJ/mol"}
    assert samples.x.shape == (3 * N_SAMPLES, 22, 3)
    system = RunDirectory(smoke.path).load_system()
    chosen = np.flatnonzero(samples.energy < 50)[:100]
    x = np.asarray(samples.x[chosen], dtype=np.float64)
    found = _potential(OpenMMTarget(system), x)
    assert np.abs(found - samples.energy[chosen]).max() < 0.5  # x is float32
    at = samples.c[:, 0] == 600.0
    w = np.exp(samples.log_w[at] - samples.log_w[at].max())
    u = np.where(w > 0, samples.energy[at], 0.0)
    assert w @ u / w.sum() == pytest.approx(summary["U"][2])
    assert w.sum() ** 2 / (w @ w) / N_SAMPLES == pytest.approx(summary["ess_reverse"][2])
    with h5py.File(smoke.path / "samples.h5") as file:
        assert file["energy"].attrs["unit"] == "kJ/mol"


def _potential(target, x):
    temperature = 300.0
    return target.energy(torch.from_numpy(x), temperature).numpy() * GAS_CONSTANT * temperature


def test_every_step_has_a_line_of_metrics(smoke):
    rows = read_metrics(smoke.path / "metrics.jsonl")
    assert [row["step"] for row in rows] == list(range(1, N_STEPS + 1))
    assert {"nll", "trade_rms", "log_variance_rms", "loss", "gradient_norm"} <= set(rows[-1])


def test_a_run_killed_twice_ends_in_the_same_weights(smoke, summary, tmp_path):
    out = tmp_path / "killed"
    chance = random.Random(time.time_ns())
    first = chance.randrange(8, N_STEPS // 2)
    second = chance.randrange(N_STEPS // 2 + 7, N_STEPS - 3)
    words = ["-c", OFTEN, *smoke.command("--out", out)]
    kill_at(out / "metrics.jsonl", first, words)
    assert not (out / "model.safetensors").exists()
    kill_at(out / "metrics.jsonl", second, [*words, "--resume"])
    process = start_python([*words, "--resume"])
    printed, _ = process.communicate(timeout=200)
    assert process.returncode == 0, printed
    whole, _ = load_tensors(smoke.path / "model.safetensors")
    resumed, _ = load_tensors(out / "model.safetensors")
    assert whole.keys() == resumed.keys()
    differ = [name for name in whole if not bool((whole[name] == resumed[name]).all())]
    assert differ == [], f"killed at steps {first} and {second}"
    rows = read_metrics(out / "metrics.jsonl")
    assert [row["step"] for row in rows] == list(range(1, N_STEPS + 1))
    again = json.loads((out / "summary.json").read_text())
    assert again["energy_calls"] == summary["energy_calls"]
    assert again["free_energy"] == pytest.approx(summary["free_energy"], abs=1e-6)


def kill_at(metrics, step, words):
    """Start the run and kill it, without warning, once it has logged a step."""
    process = start_python(words)
    started = time.monotonic()
    while not (metrics.exists() and metrics.read_bytes().count(b"\n") >= step):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() - started < 120
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def test_a_free_form_flow_takes_the_same_way(smoke, tmp_path, call, monkeypatch):
    """Other networks and objectives; the same data, report and numbers, and a certificate."""
    out = tmp_path / "run"
    words = smoke.command("--flow", "free-form", "--out", out)
    status, printed, _ = call(train_alanine.main, *words)
    assert status == 0
    assert "round trip at 600 K: |x - g(f(x))|" in printed
    found = json.loads((out / "summary.json").read_text())
    assert set(found["round_trip"]) == {"600"}
    assert found["round_trip"]["600"]["n_points"] == 200
    assert "(free-form flow)" in (out / "report.html").read_text()
    samples = read_samples(out / "samples.h5")
    assert np.isfinite(samples.log_w).mean() > 0.5
    rows = read_metrics(out / "metrics.jsonl")
    assert {"free_form_surrogate", "reverse_energy"} <= set(rows[-1])
    assert load_model(RunDirectory(out)).flow.canonical.cut.abs().max() > 0
    assert found["frames_without_density"] == [0, 0, 0]

    def without_latent(flow, x, c):
        return torch.cat([x.new_full((1,), -torch.inf), found_log_q(flow, x, c)[1:]])

    found_log_q = FreeFormFlow._log_prob
    monkeypatch.setattr(FreeFormFlow, "_log_prob", without_latent)
    status, printed, _ = call(train_alanine.main, *words, "--resume")
    assert status == 0
    found = json.loads((out / "summary.json").read_text())
    assert found["frames_without_density"][2] >= 1
    assert (found["ess_forward"][2], found["frames_outside_chart"][2]) == (0, 0)
    assert "600 K no latent was found" in printed


def test_a_free_form_run_is_not_taken_for_another(smoke, refuses):
    refuses(train_alanine.main, *smoke.command("--flow", "free-form", "--out", smoke.path),
            "--resume", because="free_form")  # fmt: skip
