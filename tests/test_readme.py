"""What the README and the other pages say has to be so."""

import re
import sys

import pytest

from tests.programs import code_blocks, prose, run_program
from tests.sources import ROOT

README = ROOT / "README.md"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("examples/*.md")])
MAKEFILE = (ROOT / "Makefile").read_text()


def test_the_first_block_is_the_two_commands():
    first = code_blocks(README, "sh")[0]
    commands = [line.split("#")[0].strip() for line in first.splitlines()]
    assert commands == ["make alanine", "make test"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_named_exists(page):
    blocks = "".join(code_blocks(page, "sh"))
    inline = " ".join(re.findall(r"`(make [^`]+)`", prose(page)))
    targets = set(re.findall(r"\bmake ([a-z][a-z-]*)", blocks + inline))
    known = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    assert targets <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_to_a_file(page):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", prose(page))
    local = [link for link in links if not link.startswith("http")]
    assert [link for link in local if not (page.parent / link).exists()] == []


def test_the_example_reaches_the_exact_answer(tmp_path):
    (code,) = code_blocks(README, "python")
    assert len([line for line in code.splitlines() if line.strip()]) <= 30
    (tmp_path / "readme.py").write_text(code)
    printed = run_program([sys.executable, "readme.py"], tmp_path)
    share, log_z, error, exact = map(float, re.findall(r"-?\d+\.\d+", printed))
    assert share > 0.8
    assert error < 0.02
    assert abs(log_z - exact) < 4 * error + 1e-4


def test_the_name_on_pypi_is_explained():
    text = README.read_text()
    assert "boltzgen-flows" in text
    assert "protein-design" in text
