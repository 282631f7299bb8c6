"""The benchmark of energies runs and writes what it prints; times themselves are not tested."""

import json
import sys

import pytest

import bench_energy


@pytest.mark.filterwarnings("ignore:no compiler")
def test_it_times_every_way(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CXX", "no-such-compiler")  # compiling takes half a minute
    arguments = "--system ala2/vacuum --batch 3 --dtype float64 --repeats 1 --threads 1".split()
    file = tmp_path / "energy.json"
    monkeypatch.setattr(sys, "argv", ["bench_energy", *arguments, "--json", str(file)])
    assert bench_energy.main() == 0
    (record,) = json.loads(file.read_text())["records"]
    assert (record["system"], record["n_atoms"], record["batch"]) == ("ala2/vacuum", 22, 3)
    ways = {"eager", "compiled", "Reference", "CPU"}
    expected = {f"{way}, {what}" for way in ways for what in ("energies", "forces")}
    assert expected <= set(record["microseconds"])
    assert all(value > 0 for value in record["microseconds"].values())
    assert "ala2/vacuum, 22 atoms: microseconds" in capsys.readouterr().out


def test_an_unknown_system_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench_energy", "--system", "ala2/vacum"])
    assert bench_energy.main() == 1
    message = capsys.readouterr().err
    assert message.startswith("bench_energy: ")
    assert "ala2/vacuum" in message


@pytest.mark.parametrize("name", ["ala:1", "ala:3"])
def test_molecules_of_any_length(name):
    count = int(name[4:])
    assert bench_energy.molecule(name).n_atoms == 12 + 10 * count
