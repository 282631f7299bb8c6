"""The benchmark of samplers runs, compares and writes; times themselves are not tested."""

import json
from functools import partial

import pytest

import bench_sampling
from pipeline.sampling import SamplingSettings


@pytest.mark.openmm
def test_it_times_both_and_compares_them(call, monkeypatch, tmp_path):
    quick = partial(
        SamplingSettings, n_tuning=4, n_hot=2, n_discarded=2, n_leapfrog=6, compiled=False
    )
    monkeypatch.setattr(bench_sampling, "SamplingSettings", quick)
    out = tmp_path / "bench.json"
    words = ("--ladders", 8, "--rounds", 2, "--frames", 20, "--iterations", 20)
    status, printed, error = call(
        bench_sampling.main, *words, "--equilibration-ps", 1, "--json", out,
        "--system", "ala2/vacuum",
    )  # fmt: skip
    assert status == 0, error
    assert "A second of wall time on one core" in printed
    found = json.loads(out.read_text())
    assert {len(seconds) for seconds in found["seconds"].values()} == {2}
    for rates in found["rates"].values():
        assert all(value > 0 for value in rates.values())
        assert {"energy calls", "simulated ps", "independent energies, lowest T"} <= set(rates)
    assert [row["T"] for row in found["agreement"]] == [300, 350, 400, 450, 500, 550, 600]
    assert all(row["U error OpenMM"] > 0 for row in found["agreement"])


def test_an_unknown_system_is_one_line(refuses):
    refuses(bench_sampling.main, "--system", "ala2/vacum", because="no system 'ala2/vacum'")
