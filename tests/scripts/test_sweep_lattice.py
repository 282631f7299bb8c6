"""Whole sweeps, small ones: what they write, how they go on, and what they refuse."""

import csv
import json
import shutil

import h5py
import numpy as np
import pytest

import sweep_lattice
from boltzgen.storage import load_tensors
from systems.lattices.exact import enumerate_ising

SMALL = ("--preset", "smoke", "--workers", "0", "--quiet", "--steps", "8")
ISING = ("--model", "ising", "--L", "4", "--T", "2:3:0.5")
PHI4 = ("--model", "phi4", "--L", "4", "--lambda", "0.02", "--kappa", "0.22:0.3:0.04")


def rows_of(out):
    with (out / "sweep.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One sweep with flow and Monte Carlo, as (directory, arguments)."""
    out = tmp_path_factory.mktemp("sweep") / "run"
    words = (*ISING, *SMALL, "--out", str(out))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["sweep_lattice.py", *words])
        assert sweep_lattice.main() == 0
    return out, words


def test_a_sweep_writes_what_it_says(finished):
    out, _ = finished
    rows, summary = rows_of(out), json.loads((out / "summary.json").read_text())
    assert [float(row["T"]) for row in rows] == [2.0, 2.5, 3.0]
    assert summary["system"] == "ising/4x4/J=1/h=0"
    assert set(summary["observables"]) == {"abs_m", "chi", "binder", "energy", "heat_capacity"}
    states = enumerate_ising((4, 4))
    for row in rows:
        T = float(row["T"])
        exact = {
            "abs_m": states.absolute_magnetisation(T), "energy": states.energy(T) / 16,
            "binder": states.binder_cumulant(T), "heat_capacity": states.heat_capacity(T) / 16,
        }  # fmt: skip
        for name, value in exact.items():
            assert float(row[f"{name}_exact"]) == pytest.approx(value)
            z = (float(row[f"{name}_mc"]) - value) / float(row[f"{name}_mc_error"])
            assert abs(z) < 4
        z = (float(row["free_Monte_Carlo_BAR"]) + states.log_partition(T)) / float(
            row["free_Monte_Carlo_BAR_error"]
        )
        assert abs(z) < 4
    page = (out / "report.html").read_text()
    assert "</html>" in page
    assert "ising/4x4" in page
    with h5py.File(out / "sweep.h5") as file:
        np.testing.assert_allclose(file["T"][()], [2.0, 2.5, 3.0])


def test_a_finished_sweep_is_taken_up_again_without_work(finished, call):
    out, words = finished
    before = {path: path.stat().st_mtime_ns for path in (out / "points").iterdir()}
    model = (out / "model.safetensors").stat().st_mtime_ns
    status, _, error = call(sweep_lattice.main, *words, "--resume")
    assert status == 0, error
    assert {path: path.stat().st_mtime_ns for path in (out / "points").iterdir()} == before
    assert (out / "model.safetensors").stat().st_mtime_ns == model


def test_lost_points_are_computed_again_to_the_same(finished, call, tmp_path):
    out, words = finished
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    for path in list((copy / "points").glob("flow*"))[:2]:
        path.unlink()
    words = [str(copy) if word == str(out) else word for word in words]
    status, _, error = call(sweep_lattice.main, *words, "--resume")
    assert status == 0, error
    assert rows_of(copy) == rows_of(out)


def test_the_flow_of_another_run_is_used(finished, call, tmp_path):
    out, _ = finished
    again = tmp_path / "again"
    words = (*ISING, *SMALL, "--out", again, "--flow", out, "--method", "flow")
    status, _, error = call(sweep_lattice.main, *words)
    assert status == 0, error
    assert not (again / "checkpoint.safetensors").exists()
    assert [r["ess_reverse"] for r in rows_of(again)] == [r["ess_reverse"] for r in rows_of(out)]
    assert rows_of(again)[0]["abs_m_mc"] == ""


def test_a_flow_of_another_lattice_is_refused(finished, refuses, tmp_path):
    out, _ = finished
    words = (*PHI4, *SMALL, "--out", tmp_path / "o", "--flow", out, "--method", "flow")
    refuses(sweep_lattice.main, *words, because="expected a flow for lattice")


def test_a_map_of_two_couplings(call, tmp_path):
    words = (
        "--model", "phi4", "--L", "4", "--kappa", "0.2:0.3:0.1", "--lambda", "0.02:0.04:0.02",
    )  # fmt: skip
    status, _, error = call(sweep_lattice.main, *words, *SMALL, "--out", tmp_path / "o")
    assert status == 0, error
    rows = rows_of(tmp_path / "o")
    assert [(float(r["kappa"]), float(r["lambda"])) for r in rows] == [
        (0.2, 0.02), (0.2, 0.04), (0.3, 0.02), (0.3, 0.04),
    ]  # fmt: skip
    summary = json.loads((tmp_path / "o" / "summary.json").read_text())
    assert summary["objective"] == "nll+backward-kl"


def test_monte_carlo_alone_takes_odd_lattices_and_fields(call, tmp_path):
    words = ("--model", "ising", "--L", "3", "--T", "2:3:1", "--h", "0.2", "--method", "mc")
    status, _, error = call(sweep_lattice.main, *words, *SMALL, "--out", tmp_path / "o")
    assert status == 0, error
    states = enumerate_ising((3, 3))
    for row in rows_of(tmp_path / "o"):
        exact = states.absolute_magnetisation(float(row["T"]), 1.0, 0.2)
        assert float(row["abs_m_exact"]) == pytest.approx(exact)
        assert abs(float(row["abs_m_mc"]) - exact) < 4 * float(row["abs_m_mc_error"])
        assert row["ess_reverse"] == ""


@pytest.mark.parametrize("objective", ["trade", "backward-kl", "nll", "nll+backward-kl"])
def test_every_objective_trains(objective, call, tmp_path):
    words = (*PHI4, *SMALL, "--objective", objective, "--method", "flow", "--out", tmp_path / "o")
    status, _, error = call(sweep_lattice.main, *words)
    assert status == 0, error
    assert all(0 < float(row["ess_reverse"]) <= 1 for row in rows_of(tmp_path / "o"))


@pytest.mark.parametrize(
    ("words", "because"),
    [
        (("--kappa", "0.32:0.22:0.005"), "--kappa: expected a range with FIRST below LAST"),
        (("--kappa", "0.22:0.22:0.005"), "--kappa: expected a range with FIRST below LAST"),
        (("--kappa", "0.22:0.32:-0.1"), "--kappa: expected a range with FIRST below LAST"),
        (("--kappa", "0.22:0.32:0"), "it is empty"),
        (("--kappa", "0.22:0.32:0.2"), "--kappa: expected a STEP below LAST - FIRST"),
        (("--kappa", "0.22:0.32"), "--kappa: expected a number or a range"),
        (("--kappa", "a:b:c"), "--kappa: expected a number or a range"),
        (("--kappa", "0:1:1e-9"), "--kappa: expected at most 10000 values"),
        (("--kappa", "0.25"), "--kappa: expected a range for one coupling or for two"),
        (("--L", "1"), "--L: expected a length of at least 2"),
        (("--L", "4,x"), "--L: expected a length of at least 2"),
        (("--L", "5"), "--L: expected even lengths"),
        (("--L", "4,4,4,4"), "--dims: expected 1 to 3"),
        (("--L", "4,4", "--dims", "3"), "--dims: expected 2"),
        (("--dims", "4"), "--dims: expected 1 to 3"),
        (("--lambda", "-0.02"), "unbounded at kappa = 0.22, lambda = -0.02"),
        (("--lambda", "0"), "unbounded at kappa = 0.3, lambda = 0"),
        (("--T", "2"), "--T: phi4 has no such coupling, only --kappa, --lambda"),
        (("--boundary", "0.2"), "--boundary: expected different values from 0.22 to 0.3"),
        (("--boundary", "0.25,0.25"), "--boundary: expected different values"),
        (("--boundary", "x"), "--boundary: expected numbers such as"),
        (("--kappa", "-0.2:0.2:0.1"), "--kappa: expected values above 0 for --objective trade"),
        (("--lambda", "0.02:0.04:0.02", "--objective", "trade"), "--objective: trade follows one"),
        (("--lambda", "0.02:0.04:0.02", "--boundary", "0.25"), "--boundary: expected none"),
        (("--scheduler", "tcp://127.0.0.1:1"), "127.0.0.1:1"),
        (("--scheduler", "nonsense"), "--scheduler: expected"),
    ],
)
def test_mistakes_are_one_line(words, because, refuses, tmp_path):
    given = dict(zip(words[::2], words[1::2], strict=True))
    usual = dict(zip(PHI4[::2], PHI4[1::2], strict=True)) | {"--preset": "smoke", "--steps": "8"}
    if "--scheduler" not in given:
        usual["--workers"] = "0"
    arguments = [f"{name}={value}" for name, value in (usual | given).items()]
    refuses(sweep_lattice.main, *arguments, "--quiet", "--out", tmp_path / "o", because=because)


@pytest.mark.parametrize(
    ("words", "because"),
    [
        (("--h", "0.1"), "--h: expected 0 for a flow"),
        (("--T", "-1:3:1"), "T: expected a number above 0"),
        (("--J", "0:1:0.5"), "J: expected"),
    ],
)
def test_mistakes_with_spins_are_one_line(words, because, refuses, tmp_path):
    given = [f"{name}={value}" for name, value in zip(words[::2], words[1::2], strict=True)]
    base = ["--model=ising", "--L=4"] + ([] if "--T" in words else ["--T=2:3:1"])
    refuses(sweep_lattice.main, *base, *given, *SMALL, "--out", tmp_path / "o", because=because)


def test_another_run_is_not_overwritten(finished, refuses):
    out, words = finished
    refuses(sweep_lattice.main, *words, because="already holds a run")
    changed = [word if word != "4" else "6" for word in words]
    refuses(sweep_lattice.main, *changed, "--resume", because="lattice.shape is [4, 4] there")


def test_a_missing_flow_is_named(refuses, tmp_path):
    words = (*PHI4, *SMALL, "--method", "flow", "--flow", tmp_path / "no", "--out", tmp_path / "o")
    refuses(sweep_lattice.main, *words, because="expected the directory of a run")
    assert not (tmp_path / "o").exists()


def test_a_flow_of_a_smaller_lattice_is_a_start(finished, call, refuses, tmp_path):
    out, _ = finished
    words = ["--model", "ising", "--L", "6", "--T", "2:3:0.5", *SMALL, "--method", "flow"]
    status, _, error = call(
        sweep_lattice.main, *words, "--steps", "1", "--start", out, "--out", tmp_path / "o"
    )
    assert status == 0, error
    there, here = (load_tensors(path / "model.safetensors")[0] for path in (out, tmp_path / "o"))
    assert all((there[name] - here[name]).abs().max() < 0.02 for name in there)
    refuses(
        sweep_lattice.main, *PHI4, *SMALL, "--start", out, "--out", tmp_path / "p",
        because="--start: expected a flow of phi4",
    )  # fmt: skip


def test_the_monte_carlo_of_another_run_is_used(finished, call, refuses, tmp_path):
    out, _ = finished
    words = (*ISING, *SMALL, "--method", "mc", "--reference", out)
    status, _, error = call(sweep_lattice.main, *words, "--out", tmp_path / "o")
    assert status == 0, error
    assert [r["abs_m_mc"] for r in rows_of(tmp_path / "o")] == [r["abs_m_mc"] for r in rows_of(out)]
    assert not (tmp_path / "o" / "points").exists()
    words = (*PHI4, *SMALL, "--method", "mc", "--reference", out, "--out", tmp_path / "p")
    refuses(sweep_lattice.main, *words, because="--reference: expected a run of phi4/4x4")


def test_a_flow_comes_with_how_it_was_trained(finished, call, refuses, tmp_path):
    out, _ = finished
    words = (*ISING, *SMALL, "--flow", out, "--method", "flow", "--out", tmp_path / "o")
    status, _, error = call(sweep_lattice.main, *words, "--objective", "nll")
    assert status == 0, error
    summary = json.loads((tmp_path / "o" / "summary.json").read_text())
    assert summary["objective"] == "trade"
    assert summary["flow_of"] == str(out)
    words = [word for word in words if word not in ("--flow", out)]
    refuses(sweep_lattice.main, *words, "--resume", because="flow_of is")


def test_spins_without_bonds_and_frozen_chains_give_a_report(call, tmp_path):
    words = ("--model", "ising", "--L", "6", "--T", "2", "--J", "0:1:0.5", "--h", "0.1")
    status, _, error = call(
        sweep_lattice.main, *words, *SMALL, "--method", "mc", "--out", tmp_path / "a"
    )
    assert status == 0, error
    words = ("--model", "ising", "--L", "3", "--J=-1", "--T", "0.1:0.5:0.2", "--method", "mc")
    status, printed, error = call(sweep_lattice.main, *words, *SMALL, "--out", tmp_path / "b")
    assert status == 0, error
    assert "no error" in printed
