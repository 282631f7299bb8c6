"""A folder of one run, and the rule that nothing of another run is overwritten."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Generic, TypeVar

from boltzgen.config import load, to_mapping, to_toml
from boltzgen.storage import write_atomically
from pipeline.command_line import make_folder

_N_SHOWN = 4
ConfigT = TypeVar("ConfigT")


class RunFolder(Generic[ConfigT]):
    """The files that every run has.

    Args:
        path: The folder; made by `open`.
        kind: Class of its settings.
    """

    def __init__(self, path: Path, kind: type[ConfigT]) -> None:
        self.path, self.kind = path, kind
        self.config = path / "config.toml"
        self.checkpoint = path / "checkpoint.safetensors"
        self.model = path / "model.safetensors"
        self.metrics = path / "metrics.jsonl"
        self.summary = path / "summary.json"
        self.report = path / "report.html"

    def open(
        self, config: ConfigT, *, resume: bool, fill: Callable[[], None] | None = None
    ) -> None:
        """Make the folder for a new run, or check that it holds this one.

        Args:
            config: Settings of the run.
            resume: Whether the run is there already.
            fill: Writes what else belongs to a new run, before its settings.

        Raises:
            ValueError: It holds another run or other files, or there is no run to resume.
        """
        if resume:
            if not self.config.exists():
                raise ValueError(f"--resume: no run in {self.path} (it has no config.toml)")
            self._require_same(config)
            return
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            what = "a run" if self.config.exists() else "files that are no run"
            raise ValueError(
                f"--out: {self.path} already holds {what}; give another directory, or --resume to "
                "go on with the run"
            )
        make_folder("--out", self.path)
        if fill is not None:
            fill()
        write_atomically(self.config, lambda p: write_text(p, to_toml(config)))

    def _require_same(self, config: ConfigT) -> None:
        there = load(self.config, self.kind)
        if there == config:
            return
        old, new = _flatten(to_mapping(there)), _flatten(to_mapping(config))
        names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
        changes = [f"{n} is {old.get(n)} there and {new.get(n)} here" for n in names[:_N_SHOWN]]
        more = f"; and {len(names) - _N_SHOWN} more" if len(names) > _N_SHOWN else ""
        raise ValueError(
            f"--resume: {self.path} holds a run with other settings: {'; '.join(changes)}{more}"
        )

    def load_config(self) -> ConfigT:
        """Read the settings of the run.

        Raises:
            ValueError: There is no run here.
        """
        if not self.config.exists():
            raise ValueError(f"{self.path}: expected the directory of a run (with config.toml)")
        return load(self.config, self.kind)


def _flatten(mapping: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Nested settings under dotted names."""
    flat: dict[str, object] = {}
    for name, value in mapping.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8."""
    path.write_text(text, encoding="utf-8")
