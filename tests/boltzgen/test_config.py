from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boltzgen.config import from_mapping, load, to_mapping, to_toml


@dataclass(frozen=True, kw_only=True)
class Train:
    n_steps: int
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        if self.n_steps < 1:
            raise ValueError(f"n_steps: expected at least 1, got {self.n_steps}")


@dataclass(frozen=True, kw_only=True)
class Run:
    system: str
    train: Train
    temperatures: tuple[float, ...] = (300.0, 600.0)
    window: tuple[int, float] = (1, 2.0)
    out: Path = Path("runs")
    seed: int | None = None
    compile: bool = False
    penalty: Literal["huber", "square"] = "huber"
    stages: tuple[Train, ...] = field(default_factory=tuple)


GIVEN = {"system": "ala2", "train": {"n_steps": 3}}


def test_a_file_becomes_a_dataclass(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text(
        'system = "ala2"\nout = "here"\nwindow = [3, 4]\nseed = 5\ncompile = true\n'
        "[train]\nn_steps = 7\nlearning_rate = 1\n[[stages]]\nn_steps = 2\n"
    )
    run = load(path, Run)
    assert run.train == Train(n_steps=7, learning_rate=1.0)
    assert isinstance(run.train.learning_rate, float)
    assert (run.out, run.window, run.seed, run.compile) == (Path("here"), (3, 4.0), 5, True)
    assert run.stages == (Train(n_steps=2),)
    assert run.temperatures == (300.0, 600.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sytem": "x"}, "sytem: unknown key; did you mean 'system'?"),
        ({"zzz": 1}, "zzz: unknown key; known: system, train,"),
        ({"train": {}}, "train.n_steps: missing key"),
        ({"train": {"n_steps": 1, "learning_rat": 1}}, "train.learning_rat: unknown key; did you"),
        ({"train": {"n_steps": 0}}, "train.n_steps: expected at least 1, got 0"),
        ({"train": 3}, "train: expected a table, got 3 (int)"),
        ({"train": {"n_steps": True}}, "train.n_steps: expected int, got True (bool)"),
        ({"train": {"n_steps": 1.0}}, "train.n_steps: expected int, got 1.0 (float)"),
        ({"train": {"n_steps": 1, "learning_rate": "a"}}, "train.learning_rate: expected float"),
        ({"compile": 1}, "compile: expected bool, got 1 (int)"),
        ({"system": 1}, "system: expected str, got 1 (int)"),
        ({"temperatures": 300}, "temperatures: expected an array, got 300 (int)"),
        ({"temperatures": [1.0, "b"]}, "temperatures[1]: expected float, got 'b' (str)"),
        ({"window": [1, 2, 3]}, "window: expected an array of 2, got [1, 2, 3] (list)"),
        ({"penalty": "hubr"}, "penalty: expected one of 'huber', 'square', got 'hubr' (str)"),
        ({"stages": [{"n_step": 1}]}, "stages[0].n_step: unknown key; did you mean 'n_steps'?"),
    ],
)
def test_a_wrong_entry_is_named(changes, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is compared below
        from_mapping({**GIVEN, **changes}, Run)
    assert str(caught.value).startswith(message)


def test_a_missing_key_is_named():
    with pytest.raises(ValueError, match=r"^system: missing key$"):
        from_mapping({"train": {"n_steps": 1}}, Run)


def test_errors_of_a_file_name_the_file(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text("system = 'a'\nsystem = 'b'\n")
    with pytest.raises(ValueError, match=r"run\.toml: not valid TOML: .*line 2"):
        load(path, Run)
    path.write_text("[train]\nn_steps = 1\n")
    with pytest.raises(ValueError, match=r"run\.toml: system: missing key"):
        load(path, Run)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "absent.toml", Run)


def test_what_cannot_be_a_configuration_is_refused():
    @dataclass(frozen=True)
    class Odd:
        value: int | str = 1
        table: dict[str, int] = field(default_factory=dict)

    with pytest.raises(ValueError, match="value: unsupported annotation"):
        from_mapping({"value": 1}, Odd)
    with pytest.raises(ValueError, match="table: unsupported annotation"):
        from_mapping({"table": {}}, Odd)
    with pytest.raises(ValueError, match="table: cannot be written"):
        to_mapping(Odd())
    with pytest.raises(ValueError, match="cls: expected a dataclass"):
        from_mapping({}, int)
    with pytest.raises(ValueError, match="config: expected a dataclass instance"):
        to_mapping(Odd)


RUNS = st.builds(
    Run,
    system=st.text(st.characters(exclude_categories=["Cs"])),
    train=st.builds(Train, n_steps=st.integers(1, 2**62), learning_rate=st.floats()),
    temperatures=st.lists(st.floats(allow_nan=False)).map(tuple),
    seed=st.none() | st.integers(-(2**62), 2**62),
    compile=st.booleans(),
    out=st.just(Path("a/b c")),
)


@given(RUNS)
def test_a_configuration_survives_writing_and_reading(tmp_path_factory, run):
    path = tmp_path_factory.mktemp("config") / "run.toml"
    path.write_text(to_toml(run), encoding="utf-8")
    assert repr(load(path, Run)) == repr(run)
    assert repr(from_mapping(to_mapping(run), Run)) == repr(run)


def test_nested_arrays_of_tables_survive(tmp_path):
    run = Run(system="a", train=Train(n_steps=1), stages=(Train(n_steps=2), Train(n_steps=3)))
    path = tmp_path / "run.toml"
    path.write_text(to_toml(run))
    assert load(path, Run) == run
