"""What a user can get wrong: each is refused with one line that names the argument."""

import shutil

import openmm
import pytest
import torch
from openmm import app

import free_energy
import sample
import sample_molecule
import train_alanine
from tests.sources import ROOT

ALA2 = ROOT / "systems" / "molecules" / "ala2.pdb"
FIELDS = ("--forcefield", "amber99sbildn.xml", "amber96_obc.xml")
pytestmark = pytest.mark.openmm


@pytest.fixture
def refused(refuses, tmp_path):
    """A smoke run that must not start, and leaves nothing behind."""

    def run(*words, because, temperatures="300:600"):
        out = tmp_path / "out"
        common = ["--preset", "smoke", "--processes", "1", "--quiet", "--cache", tmp_path / "c"]
        named = [] if "--out" in words else ["--out", out]
        line = refuses(
            train_alanine.main, "--T", temperatures, *common, *named, *words, because=because
        )
        assert not out.exists()
        return line

    return run


@pytest.mark.parametrize(
    "text", ["600:300", "0:300", "-100:300", "300", "300:300", "cold:hot", "300:nan", "300:inf", ""]
)
def test_temperature_ranges(refused, text):
    assert repr(text) in refused(because="--T: expected", temperatures=text)


def test_no_temperatures_at_all(refuses):
    refuses(train_alanine.main, because="required: --T")


def test_a_missing_pdb(refused):
    refused("--pdb", "no.pdb", *FIELDS, because="--pdb: expected a file, got no such file: no.pdb")


@pytest.mark.parametrize(
    ("change", "because"),
    [
        (lambda text: "", "--pdb: expected ATOM or HETATM records"),
        (lambda text: text[:1000], "the file is truncated"),
        (lambda text: "\n".join(text.splitlines()[:15]), "--forcefield: no template"),
        (lambda text: text.replace("HA  ALA", "XX  ALA"), "--forcefield: no template"),
        (
            lambda text: "\n".join(r for r in text.splitlines() if " HB1 " not in r),
            "hydrogens are missing",
        ),
        (lambda text: text.replace("ALA", "QQQ"), "the force field has no QQQ"),
    ],
    ids=["empty", "cut-in-a-line", "cut-after-a-line", "odd-name", "no-hydrogen", "no-residue"],
)
def test_a_pdb_that_cannot_be_used(refused, tmp_path, change, because):
    path = tmp_path / "mine.pdb"
    path.write_text(change(ALA2.read_text()))
    refused("--pdb", path, *FIELDS, because=because)


def test_force_fields(refused):
    refused(
        "--pdb", ALA2, "--forcefield", "amber99sbildnn.xml",
        because="--forcefield: no force-field file 'amber99sbildnn.xml'; did you mean amber99sbild",
    )  # fmt: skip
    refused("--pdb", ALA2, "--forcefield", "tip3p.xml", because="the force field has no ACE")
    refused("--pdb", ALA2, because="molecule: expected --system NAME, or --pdb with --forcefield")
    refused(
        "--system", "ala2/tsf", "--pdb", ALA2, *FIELDS, because="got --forcefield, --pdb, --system"
    )
    refused("--pdb", ALA2, *FIELDS, "--solvent", "obc2", because="--solvent goes with --prmtop")
    refused(
        "--prmtop", "x.prmtop", "--inpcrd", "x.inpcrd", because="--prmtop: expected a file, got no"
    )


def test_an_unknown_system_suggests_the_nearest(refused):
    refused("--system", "ala2/vacum", because="--system: no system 'ala2/vacum'; did you mean 'ala")


def xml_of(path, *, method=app.NoCutoff, constraints=None, force=None):
    pdb = app.PDBFile(str(ALA2))
    if method is not app.NoCutoff:
        pdb.topology.setUnitCellDimensions(openmm.Vec3(4, 4, 4))
    field = app.ForceField("amber99sbildn.xml")
    system = field.createSystem(pdb.topology, nonbondedMethod=method, constraints=constraints)
    if force is not None:
        system.addForce(force)
    path.write_text(openmm.XmlSerializer.serialize(system))
    return path


def wall():
    force = openmm.CustomExternalForce("10 * x^2")
    force.addParticle(0)
    return force


@pytest.mark.parametrize(
    ("options", "because"),
    [
        ({"method": app.CutoffPeriodic}, "expected no periodic box"),
        ({"force": openmm.MonteCarloBarostat(1.0, 300.0)}, "got a MonteCarloBarostat"),
        ({"constraints": app.HAngles}, "that fix an angle (HAngles or rigid water)"),
        ({"force": wall()}, "remove position restraints, walls and external fields"),
    ],
    ids=["box", "barostat", "angles", "wall"],
)
def test_systems_without_a_density_over_the_molecule(refused, tmp_path, options, because):
    xml = xml_of(tmp_path / "s.xml", **options)
    refused("--xml", xml, "--pdb", ALA2, because=because)


def test_an_xml_that_is_none(refused, tmp_path):
    (tmp_path / "s.xml").write_text("<System")
    refused("--xml", tmp_path / "s.xml", "--pdb", ALA2, because="--xml:")
    refused("--xml", tmp_path / "no.xml", "--pdb", ALA2, because="--xml: expected a file, got no")


def test_output_that_is_taken_or_cannot_be(refused, smoke, tmp_path):
    refused("--out", smoke.path, because="already holds a run; give another directory, or --resume")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    refused("--out", tmp_path / "full", because="--out: ")
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["thesis.txt"]
    file = tmp_path / "full" / "thesis.txt"
    refused("--out", file, because="--out: ")
    refused("--out", file / "run", because="--out: cannot make the directory")
    refused("--out", tmp_path / "x", "--cache", file / "cache", because="--cache: cannot make the")
    assert not (tmp_path / "x").exists()


def test_numbers_that_are_none(refused):
    refused("--seed", "-1", because="--seed: expected a whole number from 0")
    refused("--seed", "1" * 30, because="--seed: expected a whole number from 0")
    refused("--processes", "0", because="--processes: expected a whole number above 0, got '0'")
    refused("--preset", "huge", because="--preset: invalid choice: 'huge'")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there(refused):
    refused("--device", "cuda", because="--device: expected cpu or a device here, got 'cuda'")
    refused("--device", "warp", because="--device: expected cpu or a device here, got 'warp'")


def test_nothing_to_resume(refused):
    refused("--resume", because="--resume: no run in")


def test_another_run_to_resume(refuses, smoke):
    for words, because in (
        (("--seed", "3"), "other settings: seed is 0 there and 3 here"),
        (("--T", "300:500"), "other settings: high is 600.0 there and 500.0 here"),
        (("--system", "ala2/vacuum"), "system is ala2/ff96-obc1 there and ala2/vacuum here"),
        (("--preset", "full"), "preset is smoke there and full here"),
    ):
        command = smoke.command("--out", smoke.path, "--resume", *words)
        line = refuses(train_alanine.main, *command, because=because)
        assert "--resume: " in line


def test_a_damaged_checkpoint(refuses, smoke, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(smoke.path, run)
    path = run / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    command = smoke.command("--out", run, "--resume")
    refuses(train_alanine.main, *command, because=f"{path}: not a readable checkpoint, truncated")


@pytest.mark.parametrize(("main", "one"), [(sample.main, "350"), (free_energy.main, "300,400")])
def test_a_damaged_or_missing_model(refuses, smoke, tmp_path, main, one):
    run = tmp_path / "run"
    shutil.copytree(smoke.path, run)
    model = run / "model.safetensors"
    content = bytearray(model.read_bytes())
    content[-50] ^= 1
    model.write_bytes(bytes(content))
    refuses(main, run, "--T", one, because="does not match its checksum")
    model.unlink()
    refuses(main, run, "--T", one, because="the run has not been trained to its end")
    (run / "config.toml").write_text("low = ")
    refuses(main, run, "--T", one, because="config.toml: not valid TOML")
    refuses(main, tmp_path / "nowhere", "--T", one, because="expected the directory of a run")


@pytest.mark.parametrize("text", ["0", "-300", "warm", "", "300:400"])
def test_temperatures_of_a_model(refuses, smoke, text):
    for main in (sample.main, free_energy.main):
        refuses(main, smoke.path, "--T", text, because="--T: expected temperatures in kelvin")


def test_temperatures_outside_the_range_or_of_the_wrong_number(refuses, smoke):
    outside = "--T: expected 300 to 600 K, the range the run was trained on, got 700"
    refuses(sample.main, smoke.path, "--T", "700", because=outside)
    refuses(free_energy.main, smoke.path, "--T", "300,700", because=outside)
    refuses(
        sample.main, smoke.path, "--T", "300,400", because="--T: expected one temperature, got 2"
    )
    for text in ("300", "300,300"):
        refuses(free_energy.main, smoke.path, "--T", text, because="--T: expected two or more diff")


def test_output_of_samples(refuses, smoke, tmp_path):
    taken = tmp_path / "a.weights.npz"
    taken.write_bytes(b"")
    for out, because in (
        (tmp_path / "a.h5", f"--out: already there: {taken}; give another name, or --force"),
        (tmp_path / "a.pdb", "--out: expected a name ending in .h5 or .xtc"),
        (taken / "b.h5", "--out: cannot make the directory"),
    ):
        refuses(sample.main, smoke.path, "--T", "350", "--out", out, because=because)
    refuses(
        free_energy.main, smoke.path, "--T", "300,400", "--json", taken / "f.json",
        because="--json: cannot make the directory",
    )  # fmt: skip


@pytest.mark.parametrize("main", [sample.main, free_energy.main])
def test_counts_and_seeds(refuses, smoke, main):
    refuses(main, smoke.path, "--T", "300", "--n", "1", because="--n: expected a whole number ab")
    refuses(main, smoke.path, "--T", "300", "--seed", "-2", because="--seed: expected a whole num")


def test_the_reference_says_the_same(refuses):
    refuses(sample_molecule.main, "--T", "600:300", because="--T: expected LOW below HIGH")
    refuses(sample_molecule.main, "--ladders", "0", because="--ladders: expected a whole number")
    refuses(sample_molecule.main, "--seed", "-1", because="--seed: expected a whole number")
