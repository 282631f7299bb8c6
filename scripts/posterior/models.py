"""Posteriors by name, shipped or in a file of the user."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

from systems import posteriors
from systems.posteriors import Posterior

SHIPPED: dict[str, Callable[[], Posterior]] = {
    "two_moons": posteriors.TwoMoons,
    "slcp": posteriors.SLCP,
    "eight_schools": lambda: posteriors.EightSchools(centred=False),
    "eight_schools_centred": posteriors.EightSchools,
    "breast_cancer": posteriors.LogisticRegression.breast_cancer,
    "diabetes": posteriors.GaussianProcess.diabetes,
    "funnel": posteriors.Funnel,
    "gmm40": posteriors.FortyGaussians,
    "gmm6": posteriors.SixGaussians,
    "many_well": posteriors.ManyWellBridge,
}


def open_posterior(name: str) -> Posterior:
    """Open a shipped posterior, or one of a file, "file.py:name".

    The name in the file is that of a `Posterior` or of a function that returns one.

    Raises:
        ValueError: There is no such model, file or name, or it is something else; or the file
            fails when it is read.
    """
    path, found, attribute = name.rpartition(":")
    if found and path.endswith(".py"):
        return _checked(name, _from_file(Path(path), attribute))
    if name not in SHIPPED:
        raise ValueError(
            f"--model: expected one of {', '.join(SHIPPED)}, or file.py:name, got {name!r}"
        )
    return SHIPPED[name]()


def _from_file(path: Path, attribute: str) -> object:
    if not path.is_file():
        raise ValueError(f"--model: there is no file {path}")
    module_name = f"_posterior_of_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"--model: cannot read {path} as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses and pickling look it up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ValueError(f"--model: {path} fails: {type(error).__name__}: {error}") from error
    if not hasattr(module, attribute):
        raise ValueError(f"--model: {path} has no {attribute!r}")
    found = getattr(module, attribute)
    if isinstance(found, Posterior) or not callable(found):
        return found
    return found()


def _checked(name: str, found: object) -> Posterior:
    if not isinstance(found, Posterior):
        raise ValueError(
            f"--model: expected {name} to be a Posterior or to return one, got "
            f"{type(found).__name__}"
        )
    return found
