"""Files of a sweep hold every number under its name, and the terminal's table fits."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from boltzgen.estimators import Estimate
from boltzgen.storage import read_json, write_json
from boltzgen.storage.hdf5 import open_hdf5
from sweep.tables import (
    KIND,
    columns_of,
    print_results,
    summarise,
    write_csv,
    write_hdf5_table,
)
from tests.scripts import sweep_stories

FEW = sweep_stories.KAPPAS[::5]
CASES = {
    "both": {"exact": True},
    "flow": {"method": "flow", "objective": "backward-kl"},
    "mc": {"method": "mc", "exact": True},
    "two controls": {"lambdas": (0.02, 0.04)},
}


@pytest.fixture(params=CASES)
def story(request):
    return sweep_stories.story(kappas=FEW, **CASES[request.param])


def test_csv_has_one_row_for_each_point(story, tmp_path):
    write_csv(tmp_path / "table.csv", story)
    with (tmp_path / "table.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = columns_of(story)
    assert len(rows) == story.n_points
    assert list(rows[0]) == list(columns)
    for name, values in columns.items():
        read = [np.nan if row[name] == "" else float(row[name]) for row in rows]
        np.testing.assert_array_equal(read, values, err_msg=name)


def test_hdf5_has_the_same_columns_with_units(story, tmp_path):
    write_hdf5_table(tmp_path / "table.h5", story)
    with open_hdf5(tmp_path / "table.h5", KIND) as file:
        for name, values in columns_of(story).items():
            np.testing.assert_array_equal(file[name][()], values, err_msg=name)
            assert file[name].attrs["unit"] == "1"
        assert file.attrs["system"] == story.config.lattice.name
        assert list(file.attrs["controls"]) == list(story.controls)
        assert file.attrs["seed"] == 7
        routes = {str(file[k].attrs["route"]) for k in file if "route" in file[k].attrs}
        assert routes == set(story.results.free)


def test_columns_are_the_numbers_of_the_results():
    story = sweep_stories.story(kappas=FEW, exact=True)
    columns, point = columns_of(story), story.results.flow[2]
    assert columns["kappa"][2] == FEW[2]
    for name, expected in {
        "chi_flow_raw": point.raw["chi"].value,
        "chi_flow_error": point.reweighted["chi"].error,
        "chi_mc": story.results.monte_carlo[2]["chi"].value,
        "chi_mc_tau": story.results.monte_carlo[2]["chi"].tau_int,
        "chi_z": story.results.agreement["chi"].z[2],
        "abs_m_exact": story.results.exact[2]["abs_m"],
        "ess_forward": point.ess_forward.value,
        "khat": point.khat,
        "log_z_error": point.log_z.error,
        "free_integral_of_dE_dc": story.results.free["integral of dE/dc"].values[2],
        "free_Monte_Carlo_MBAR_error": story.results.free["Monte Carlo, MBAR"].errors[2],
    }.items():
        assert columns[name][2] == expected, name
    assert np.isnan(columns["chi_exact"]).all()


def test_z_is_against_the_exact_value_where_there_is_no_flow():
    story = sweep_stories.story(kappas=FEW, method="mc", exact=True)
    found = story.results.monte_carlo[1]["abs_m"]
    expected = found.z(story.results.exact[1]["abs_m"])
    assert columns_of(story)["abs_m_z"][1] == pytest.approx(expected)


def test_the_summary_is_json_and_null_is_what_is_unknown(story, tmp_path):
    summary = summarise(story)
    write_json(tmp_path / "summary.json", summary)
    read = read_json(tmp_path / "summary.json")
    assert read == json.loads(json.dumps(summary, allow_nan=False))
    assert read["system"] == story.config.lattice.name
    assert read["values"] == story.results.values.tolist()
    assert set(read["observables"]) == {each.name for each in story.lattice.observables}
    assert set(read["free_energies"]) == set(story.results.free)
    assert read["seconds"] == story.seconds
    assert "torch" in read["versions"]
    if story.config.method == "mc":
        assert read["ess_reverse"] is read["objective"] is None
    if story.config.method == "flow":
        assert read["ess_forward"] is None
        assert read["agreement"] == {}


def test_the_summary_says_where_the_largest_difference_is():
    story = sweep_stories.story(kappas=FEW)
    agreement = story.results.agreement["chi"]
    found = summarise(story)["agreement"]["flow − Monte Carlo"]["chi"]
    assert found["largest_z"] == agreement.largest
    assert found["at"] == [FEW[int(np.abs(agreement.z).argmax())]]
    assert found["p_value"] == agreement.p_value
    assert found["n_points"] == len(FEW)


def test_what_is_infinite_or_unknown_becomes_null(tmp_path):
    story = sweep_stories.story(kappas=FEW)
    points = list(story.results.flow)
    points[0] = replace(points[0], khat=np.inf, ess_forward=None)
    points[1] = replace(points[1], ess_reverse=Estimate(0.5, np.nan))
    story = replace(story, results=replace(story.results, flow=points))
    summary = summarise(story)
    assert summary["khat"][0] is None
    assert summary["ess_forward"][0] is None
    assert summary["ess_reverse_error"][1] is None
    write_csv(tmp_path / "table.csv", story)
    first = next(csv.DictReader((tmp_path / "table.csv").open()))
    assert (first["khat"], first["ess_forward"]) == ("inf", "")


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    story = sweep_stories.story(kappas=FEW)
    path = tmp_path / "missing" / "table.csv"
    with pytest.raises(OSError, match=r"table\.csv"):
        write_csv(path, story)


def test_the_printed_table_fits_a_hundred_columns(story, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    print_results(story)
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    assert max(map(len, lines)) <= 100
    assert "…" not in printed
    assert "nan" not in printed
    assert sum(line.lstrip().startswith("0.") for line in lines) >= story.n_points


def test_a_large_sweep_is_printed_in_part(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    lambdas = tuple(np.linspace(0.01, 0.1, 6))
    print_results(sweep_stories.story(lambdas=lambdas, method="mc"))
    printed = capsys.readouterr().out
    assert "42 of 126 points" in printed
    assert len(printed.splitlines()) < 60
