"""Small parts of the pipeline: arguments, angles, the run directory."""

import argparse
from dataclasses import replace

import numpy as np
import pytest

from pipeline.angles import find_angles
from pipeline.arguments import add_molecule, load_molecule, temperature_list, temperature_range
from pipeline.command_line import Parser, make_folder, positive_count, sample_count, seed
from pipeline.evaluation import chain_blocks
from pipeline.run_directory import RunDirectory
from pipeline.settings import PRESETS, RunConfig
from systems.molecules import named
from systems.molecules.build import capped_alanine
from tests.sources import ROOT


def test_ranges_and_lists_of_temperatures():
    assert temperature_range("300:600") == (300.0, 600.0)
    assert temperature_list("300,412.5") == (300.0, 412.5)
    for text in ("600:300", "0:300", "-5:300", "300", "a:b", "300:300", "300:inf", "1:2:3"):
        with pytest.raises(argparse.ArgumentTypeError, match="expected"):
            temperature_range(text)
    for text in ("", "300,", "nan", "-1", "1e999"):
        with pytest.raises(argparse.ArgumentTypeError, match="above 0"):
            temperature_list(text)


def test_whole_numbers():
    assert (positive_count("1"), sample_count("2"), seed("0")) == (1, 2, 0)
    for read, text in (
        (positive_count, "0"), (sample_count, "1"), (seed, "-1"), (seed, str(2**63)),
        (seed, "1.0"), (seed, "²"), (seed, ""),
    ):  # fmt: skip
        with pytest.raises(argparse.ArgumentTypeError, match="expected a whole number"):
            read(text)


def parse(*words):
    parser = Parser("Text.")
    add_molecule(parser)
    return load_molecule(parser.parse_args([str(word) for word in words]))


def test_ways_to_name_a_molecule():
    assert parse().content_hash == named("ala2/ff96-obc1").content_hash
    assert parse("--system", "ala2/tsf").n_constraints == 12
    pdb = ROOT / "examples" / "own_molecule.pdb"
    words = ("--pdb", pdb, "--forcefield", "amber14-all.xml", "implicit/obc2.xml")
    free, rigid = parse(*words), parse(*words, "--constraints", "HBonds")
    assert free.name == "own_molecule/amber14-all+obc2"
    assert (free.n_atoms, free.n_constraints, rigid.n_constraints) == (19, 0, 10)


def test_a_mistake_is_one_line(capsys):
    with pytest.raises(SystemExit) as stop:
        parse("--sytem", "x")
    assert stop.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_folders(tmp_path):
    make_folder("--out", tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="--cache: cannot make the directory"):
        make_folder("--cache", tmp_path / "file")


def test_phi_and_psi_are_found_by_name(alanine):
    angles = find_angles(alanine)
    assert angles.names == ("phi", "psi")
    assert angles.is_ramachandran
    assert angles.atoms == ((4, 6, 8, 14), (6, 8, 14, 16))
    topology, x = capped_alanine(1, phi=-70.0, psi=140.0)
    assert topology.getNumAtoms() == 22
    phi, psi = angles.measure(x[None])
    assert np.degrees([phi[0], psi[0]]) == pytest.approx([-70, 140], abs=0.01)


def test_a_molecule_without_torsions_has_no_angles(pair):
    assert find_angles(pair) is None


def test_blocks_are_longer_where_the_chain_is_slower():
    rng = np.random.default_rng(0)
    x = np.zeros((2000, 4, 3))
    fast = rng.normal(size=2000)
    slow = np.empty(2000)
    slow[0] = fast[0]
    for i in range(1, 2000):
        slow[i] = 0.95 * slow[i - 1] + 0.3 * fast[i]
    n_fast, n_slow = (int(chain_blocks(x, u, None)[-1]) + 1 for u in (fast, slow))
    assert n_slow < n_fast / 5


@pytest.fixture
def config(alanine):
    return RunConfig(
        system=alanine.name, system_hash=alanine.content_hash, low=300.0, high=600.0, seed=0,
        preset="smoke", backend="tensor", **vars(PRESETS["smoke"]),
    )  # fmt: skip


def test_a_run_keeps_its_settings_and_its_molecule(tmp_path, config, alanine):
    run = RunDirectory(tmp_path / "run")
    run.start(config, alanine, resume=False)
    assert run.load_config() == config
    system = run.load_system()
    assert system.name == alanine.name
    assert system.bonds == alanine.bonds
    assert np.abs(system.positions - alanine.positions).max() < 1e-4
    run.start(config, alanine, resume=True)


def test_a_molecule_with_rigid_bonds_is_kept_too(tmp_path, config):
    tsf = named("ala2/tsf")
    run = RunDirectory(tmp_path / "run")
    run.start(replace(config, system=tsf.name), tsf, resume=False)
    assert run.load_system().constraints == tsf.constraints


def test_differences_of_settings_are_named(tmp_path, config, alanine):
    run = RunDirectory(tmp_path / "run")
    run.start(config, alanine, resume=False)
    other = replace(config, flow=replace(config.flow, n_layers=3), seed=9)
    with pytest.raises(ValueError, match=r"seed is 0 there and 9 here; flow\.n_layers is 2 there"):
        run.start(other, alanine, resume=True)
    for resume, words in ((False, "already holds a run"), (True, "and 9 here")):
        with pytest.raises(ValueError, match=words):
            run.start(other, alanine, resume=resume)
    assert run.load_config() == config
