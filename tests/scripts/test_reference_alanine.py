"""The script that makes the independent reference, and the analysis of what it samples."""

import json

import numpy as np
import pytest

from pipeline.reference import analyse
from reference_alanine import main, parser, settings_from, table
from systems.molecules import ReferenceSettings, ladder, reference
from systems.units import GAS_CONSTANT


@pytest.mark.openmm
def test_free_energies_of_a_harmonic_pair_are_exact(pair, tmp_path):
    settings = ReferenceSettings(
        temperatures=ladder(300.0, 600.0, include=(450.0,), ratio=1.5),
        n_repeats=4,
        n_iterations=1500,
        steps_per_iteration=100,
        equilibration_steps=1000,
        equilibration_iterations=20,
        friction_per_ps=10.0,
        chunk_iterations=500,
        seed=2,
    )
    data = reference(pair, settings, cache_dir=tmp_path, n_processes=1)
    found = analyse(data)
    exact = -1.5 * np.log(data.temperatures / 300.0)
    assert found.error[1:].max() < 0.05
    assert (np.abs(found.free_energy - exact)[1:] < 4 * found.error[1:]).all()
    mean = 1.5 * GAS_CONSTANT * data.temperatures
    assert (np.abs(found.potential - mean) < 4 * found.potential_error).all()
    assert found.overlap > 0.1
    text = table(pair, data, found)
    assert "Reference of pair: 4 repeats" in text
    assert "complete" in text


def test_the_script_turns_nanoseconds_into_iterations():
    settings = settings_from(parser().parse_args(["--T", "300:600", "--ns", "100"]))
    assert len(settings.temperatures) == 7
    n_steps = settings.n_repeats * 7 * settings.n_iterations * settings.steps_per_iteration
    assert n_steps == pytest.approx(1e8, rel=1e-3)


@pytest.mark.parametrize(
    ("words", "because"),
    [
        (
            ["--system", "ala2/vacum"],
            "--system: no system 'ala2/vacum'; did you mean 'ala2/vacuum'",
        ),
        (["--analyse-only"], "--cache: no reference of ala2/ff99sbildn-obc2"),
        (["--ns", "0"], "--ns: expected a number above 0, got '0'"),
        (["--ns", "inf"], "--ns: expected a number above 0, got 'inf'"),
        (["--pdb", "x.pdb"], "--pdb with --forcefield"),
    ],
)
def test_the_script_says_what_is_wrong(refuses, tmp_path, words, because):
    refuses(main, *words, "--cache", tmp_path, because=because)


def test_the_script_analyses_what_is_cached(alanine, call, tmp_path):
    settings = ReferenceSettings(
        temperatures=(300.0, 330.0),
        n_repeats=2,
        n_iterations=60,
        steps_per_iteration=20,
        equilibration_steps=100,
        equilibration_iterations=2,
        chunk_iterations=10,
        seed=3,
    )
    reference(alanine, settings, cache_dir=tmp_path, n_processes=1)
    words = ("--analyse-only", "--cache", tmp_path, "--out", tmp_path / "out")
    status, printed, _ = call(main, *words)
    assert status == 0
    assert "2 repeats, 240 frames" in printed
    summary = json.loads((tmp_path / "out" / "reference.json").read_text())
    assert summary["system"] == "ala2/ff99sbildn-obc2"
    assert summary["T"] == [300.0, 330.0]
    assert len(summary["free_energy_error"]) == 2
