"""Descriptions of points, and the files of finished ones."""

import numpy as np
import pytest

from boltzgen.errors import CorruptFileError
from sweep.points import Finished, Point, PointStore, check_result
from tests.scripts.sweep_points import measure


@pytest.mark.parametrize(
    "change", [{"couplings": {"J": 1.5}}, {"seed": 7}, {"settings": {"L": (4, 4)}}, {"label": "x"}]
)
def test_a_point_with_other_settings_is_another(tmp_path, change):
    base = {"label": "a", "couplings": {"J": 1}, "seed": 0, "settings": {"L": [4, 8]}}
    store = PointStore(tmp_path, measure)
    store.write(Point(**base), Finished({"m": 1.0}, 0.5))
    same = Point(**base | {"couplings": {"J": np.float64(1)}, "settings": {"L": np.array([4, 8])}})
    assert same == Point(**base)
    assert hash(same) == hash(Point(**base))
    assert store.read(same) == ({"m": 1.0}, 0.5)
    with pytest.raises(FileNotFoundError):
        store.read(Point(**base | change))


@pytest.mark.parametrize(
    ("wrong", "because"),
    [
        ({"label": ""}, "label: expected a name"),
        ({"couplings": {"J": float("nan")}}, "couplings: J: expected strings, finite numbers"),
        ({"couplings": {"J": "1"}}, "couplings: J: expected a number"),
        ({"seed": -1}, "seed: expected a whole number"),
        ({"seed": 1.0}, "seed: expected a whole number"),
        ({"settings": {"f": max}}, "settings: f: expected strings"),
        ({"settings": {"a": {1: 2}}}, "settings: a: expected names as keys"),
    ],
)
def test_a_point_is_plain(wrong, because):
    with pytest.raises(ValueError, match=because):
        Point(**{"label": "a", "couplings": {}, "seed": 0} | wrong)


def test_a_description_cannot_change_afterwards():
    settings = {"L": [4, 4]}
    point = Point(label="a", couplings={"J": 1}, seed=0, settings=settings)
    before = point.description
    settings["L"].append(4)
    assert point.description == before
    assert point.settings["L"] == (4, 4)


def test_labels_need_not_be_file_names(tmp_path):
    store = PointStore(tmp_path, measure)
    long = [Point(label=f"../L=4 J/T = {'x' * 300}{k}", couplings={}, seed=0) for k in (1, 2)]
    for k, point in enumerate(long):
        store.write(point, Finished({"k": float(k)}, 1.0))
    assert len(list(tmp_path.glob("*.h5"))) == 2
    assert [store.read(point).result["k"] for point in long] == [0, 1]


@pytest.fixture
def stored(tmp_path):
    """A store with one point."""
    store = PointStore(tmp_path, measure)
    point = Point(label="a", couplings={"J": 3}, seed=0)
    store.write(point, Finished({"x": np.arange(50.0), "J": 3.5, "n": np.eye(2, dtype=bool)}, 1.0))
    return store, point


def test_a_result_comes_back_as_it_was(stored):
    store, point = stored
    result, seconds = store.read(point)
    assert list(result) == ["x", "J", "n"]
    assert result["x"].dtype == np.float64
    assert result["n"].dtype == bool
    assert np.array_equal(result["n"], np.eye(2))
    assert (result["J"], seconds) == (3.5, 1.0)


def _truncate(path):
    path.write_bytes(path.read_bytes()[:1500])


def _empty(path):
    path.write_bytes(b"")


def _flip(path):
    content = bytearray(path.read_bytes())
    place = content.index(np.float64(3.5).tobytes())  # the number J
    content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [_truncate, _empty, _flip])
def test_damage_is_found(stored, damage):
    store, point = stored
    damage(store.file_of(point))
    with pytest.raises(CorruptFileError, match=str(store.file_of(point))):
        store.read(point)


def test_a_file_of_another_point_is_not_taken_for_this_one(stored):
    store, point = stored
    other = Point(label="a", couplings={"J": 3}, seed=1)
    store.file_of(point).replace(store.file_of(other))
    with pytest.raises(ValueError, match="holds another point"):
        store.read(other)


def test_a_store_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="store: cannot make the directory"):
        PointStore(tmp_path / "file", measure)


@pytest.mark.parametrize(
    ("result", "because"),
    [
        (3.0, "result: expected a dict"),
        ({"x": "a"}, "result: x: expected an array of numbers"),
        ({"x": [None]}, "result: x: expected an array of numbers"),
        ({"x": 1j}, "result: x: expected an array of numbers"),
        ({"a/b": 1}, "result: expected names without a slash"),
        ({"": 1}, "result: expected names without a slash"),
    ],
)
def test_results_that_are_no_numbers_are_refused(result, because):
    with pytest.raises(ValueError, match=because):
        check_result(result)
