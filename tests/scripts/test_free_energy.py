import json

import numpy as np
import pytest

import free_energy

pytestmark = pytest.mark.openmm


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("free")


@pytest.fixture
def found(smoke, call, folder):
    path = folder / "free.json"
    words = ("--T", "450,600,500", "--n", "1000", "--processes", "1", "--json", path)
    status, printed, _ = call(free_energy.main, smoke.path, *words)
    assert status == 0
    return json.loads(path.read_text()), printed


def test_it_agrees_with_the_summary(smoke, found):
    numbers, printed = found
    summary = json.loads((smoke.path / "summary.json").read_text())
    assert numbers["T"] == [450.0, 600.0, 500.0]
    errors = np.array(summary["free_energy_error"])
    there = summary["free_energy"][2] - summary["free_energy"][1]
    z = (numbers["free_energy"][1] - there) / np.hypot(
        numbers["free_energy_error"][1], np.hypot(errors[1], errors[2])
    )
    assert abs(z) < 4
    assert "Differences" in printed


def test_differences_and_errors_fit_together(found):
    numbers, printed = found
    errors = np.array(numbers["difference_error"])
    assert np.allclose(errors, errors.T)
    assert np.allclose(errors[0], numbers["free_energy_error"])
    assert numbers["free_energy"][0] == 0
    assert all(1 <= n <= 3000 for n in numbers["effective_samples"])
    assert f"{numbers['free_energy'][1]:.4f} ± {errors[0, 1]:.4f}" in printed


def test_the_same_seed_gives_the_same_numbers(smoke, call, tmp_path):
    def numbers(seed):
        path = tmp_path / f"{seed}.json"
        words = ("--T", "500,600", "--n", "100", "--processes", "1", "--seed", seed, "--json", path)
        assert call(free_energy.main, smoke.path, *words)[0] == 0
        return path.read_text()

    assert numbers(7) == numbers("07")
    assert numbers(7) != numbers(8)
