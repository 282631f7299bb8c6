"""What setup.cfg declares, constraints.txt pins and the source imports must be the same things."""

import configparser
import re
import sys

import pytest

from tests.sources import ROOT, imports_of, read_sources

OPTIONAL = ("tables", "cluster", "bench", "posteriors")
# What is imported under another name than it is installed under.
DISTRIBUTIONS = {"sklearn": "scikit-learn"}
# A program run as a file finds the modules beside it.
OURS = {"boltzgen", "systems", "scripts", "examples", "tests"} | {
    path.stem for path in (ROOT / "scripts").glob("*")
}
CONFIG = configparser.ConfigParser()
CONFIG.read(ROOT / "setup.cfg")


def names(text: str) -> set[str]:
    """Distribution names of a list of requirements."""
    return {re.split(r"[<>=\[;]", line)[0].strip().lower() for line in text.split("\n") if line}


INSTALLED = names(CONFIG["options"]["install_requires"])
EXTRAS = {key: names(text) for key, text in CONFIG["options.extras_require"].items()}


def foreign_imports(*folders: str) -> set[str]:
    sources = read_sources(ROOT, folders)
    found = {s.module.split(".")[0] for source in sources for s in imports_of(source)}
    return distributions(found - OURS - set(sys.stdlib_module_names))


def distributions(modules: set[str]) -> set[str]:
    return {DISTRIBUTIONS.get(module, module) for module in modules}


def test_the_packages_import_only_what_an_install_brings():
    optional = set().union(*(EXTRAS[extra] for extra in OPTIONAL))
    assert foreign_imports("boltzgen", "systems") <= INSTALLED | optional


def test_programs_and_tests_import_only_what_the_test_extra_brings():
    imported = foreign_imports("scripts", "examples", "tests")
    assert imported <= INSTALLED.union(*EXTRAS.values())


def test_no_test_is_skipped_for_want_of_a_package():
    text = "".join(source.text for source in read_sources(ROOT, ("tests",)))
    wanted = set(re.findall(r"""importorskip\(["'](\w+)""", text))
    assert distributions(wanted) <= INSTALLED | EXTRAS["test"]


def test_every_direct_dependency_is_pinned_and_nothing_else_is():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", pin) for pin in pins), pins
    pinned = {pin.split("==")[0] for pin in pins}
    assert pinned == INSTALLED.union(*EXTRAS.values())


@pytest.mark.parametrize("package", ["boltzgen", "systems"])
def test_the_packages_carry_their_types(package):
    assert (ROOT / package / "py.typed").exists()
