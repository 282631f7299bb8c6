"""Files on a posterior hold every number under its name, and the terminal's tables fit."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from boltzgen.storage import read_json, write_json
from posterior.agreement import averages, compared
from posterior.tables import columns_of, print_results, summarise, write_csv
from tests.scripts import posterior_stories

BARE = ("reference", "exact", "over", "calibration", "chains")
CASES = {
    "all": {},
    "bare": {"n": 1, "betas": (1.0,), "without": BARE},
    "from the prior": {"n": 8, "betas": (0.0, 0.1, 1.0), "without": ("over", "exact")},
}


@pytest.fixture(params=CASES)
def story(request):
    return posterior_stories.story(**CASES[request.param])


def test_csv_has_one_row_for_each_power(story, tmp_path):
    write_csv(tmp_path / "table.csv", story)
    with (tmp_path / "table.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = columns_of(story)
    assert len(rows) == len(story.results.points)
    assert list(rows[0]) == list(columns)
    for name, values in columns.items():
        read = [np.nan if row[name] == "" else float(row[name]) for row in rows]
        np.testing.assert_array_equal(read, values, err_msg=name)


def test_columns_are_the_numbers_of_the_results():
    story = posterior_stories.story()
    columns, point, over = columns_of(story), story.results.points[1], story.results.over
    for name, expected in {
        "beta": 0.7,
        "ess_reverse": point.ess_reverse.value,
        "ess_forward_error": point.ess_forward.error,
        "khat": point.khat,
        "log_z_importance_sampling": point.log_z.value,
        "log_z_exact_error": 0.0,
        "c2st": point.c2st[0].value,
        "c2st_p_value": 0.4,
        "mean_theta_0": point.mean[0],
        "mean_theta_0_reference_error": point.reference.mean_error[0],
        "mean_theta_0_z": compared(point).mean.z[0],
        "sd_tau_error": point.spread_error[2],
        "sd_tau_z": compared(point).spread.z[2],
        "over_ess_mean": over.ess[:, 1].mean(),
        "over_log_z_rms": averages(over).log_z.rms[1],
    }.items():
        assert columns[name][1] == pytest.approx(expected, rel=1e-12), name


def test_the_summary_is_json_and_null_is_what_is_unknown(story, tmp_path):
    summary = summarise(story)
    write_json(tmp_path / "summary.json", summary)
    read = read_json(tmp_path / "summary.json")
    assert read == json.loads(json.dumps(summary, allow_nan=False))
    results = story.results
    assert read["betas"] == results.betas.tolist()
    assert set(read["log_z"]) == set(results.evidence)
    assert set(read["components"]) == set(results.labels)
    assert len(read["agreement"]) == len(results.points)
    assert read["energy_calls"] == story.energy_calls
    assert read["seconds"] == story.seconds
    assert read["settings"]["learn"]["objective"] == "simulations"
    assert "torch" in read["versions"]
    for name, value in {
        "over_observations": results.over, "calibration": results.calibration,
        "proposal_chains": results.chains,
    }.items():  # fmt: skip
        assert (read[name] is None) == (value is None)


def test_the_summary_has_the_agreement_by_component():
    story = posterior_stories.story()
    found = summarise(story)["agreement"][2]
    pair = compared(story.results.points[2])
    assert found["beta"] == 1.0
    assert found["reference"] == "replica exchange"
    assert found["mean"]["z"] == pair.mean.z.tolist()
    assert found["mean"]["largest_z"] == pair.mean.largest
    assert found["spread"]["component"] == story.results.labels[np.abs(pair.spread.z).argmax()]
    assert found["spread"]["p_value"] == pair.spread.p_value
    assert found["c2st"]["p_value"] == 0.4


def test_the_summary_has_observations_calibration_and_chains():
    story = posterior_stories.story()
    summary, results = summarise(story), story.results
    over = summary["over_observations"]
    assert over["n_observations"] == 40
    np.testing.assert_allclose(over["ess_mean"], results.over.ess.mean(0))
    np.testing.assert_allclose(over["log_z_error"]["rms"], averages(results.over).log_z.rms)
    raw = summary["calibration"]["sources"]["flow, raw"]
    first = results.calibration.uniformity["flow, raw"][0]
    assert raw["components"]["theta[0]"]["p_ecdf"] == first.ecdf_p_value
    assert raw["components"]["tau"]["coverage"]["levels"] == [0.5, 0.8, 0.9]
    assert summary["calibration"]["n_effective"] == {"smallest": 83.0, "median": 1510.0}
    chains = summary["proposal_chains"]
    assert (chains["n_chains"], chains["n_steps"], chains["tau"]) == (8, 200, 0.75)


def test_what_is_infinite_becomes_null(tmp_path):
    story = posterior_stories.story()
    points = list(story.results.points)
    points[0] = replace(points[0], khat=np.inf)
    story = replace(story, results=replace(story.results, points=tuple(points)))
    summary = summarise(story)
    assert summary["weights"]["khat"][0] is None
    assert summary["log_z"]["integral of log L"]["discretisation"][0] is None
    write_csv(tmp_path / "table.csv", story)
    assert next(csv.DictReader((tmp_path / "table.csv").open()))["khat"] == "inf"


def test_a_file_that_cannot_be_written_is_named(tmp_path, story):
    with pytest.raises(OSError, match=r"table\.csv"):
        write_csv(tmp_path / "missing" / "table.csv", story)


def test_the_printed_tables_fit_a_hundred_columns(story, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    print_results(story)
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 100
    assert "…" not in printed
    assert "nan" not in printed
    for title, part in {
        "Over 40 observations": story.results.over,
        "Ranks of 300 simulated truths": story.results.calibration,
        "Flow as proposal": story.results.chains,
    }.items():
        assert (title in printed) == (part is not None)
