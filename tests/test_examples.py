"""Every example runs: programs as they are, pages by their code blocks."""

import re
import sys

import pytest

from tests.programs import code_blocks, run_program
from tests.sources import ROOT

EXAMPLES = ROOT / "examples"


def check_quickstart(printed):
    """Free energies agree with the quadrature within their errors."""
    rows = [list(map(float, re.findall(r"-?\d+\.\d+", line))) for line in printed.splitlines()[1:]]
    assert len(rows) == 5
    for temperature, found, error, exact, share in rows:
        assert 0 < error < 0.005, temperature
        assert abs(found - exact) < 4 * error, temperature
        assert share > 0.8, temperature


def check_my_posterior(printed):
    """The evidence agrees with a quadrature over both parameters, 1601 x 8001 points."""
    value, error = map(float, re.findall(r"-?\d+\.\d+", printed))
    assert 0 < error < 0.01
    assert abs(value + 11.63558) < 4 * error


def check_free_form(printed):
    """Log Z agrees with the quadrature within its error, the networks are one-to-one."""
    certificate, _, *lines = printed.splitlines()
    assert certificate.endswith("0 points and 0 samples lost, 0 folded of 500")
    assert len(lines) == 3
    for line in lines:
        temperature, found, error, exact, share = map(float, line.split())
        assert 0 < error < 0.05, temperature
        assert abs(found - exact) < 4 * error, temperature
        assert share > 0.3, temperature


CHECKS = {
    "free_form.py": check_free_form,
    "my_posterior.py": check_my_posterior,
    "quickstart.py": check_quickstart,
}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_a_program_runs_and_prints_what_it_should(path, tmp_path):
    CHECKS[path.name](run_program([sys.executable, str(path)], tmp_path))


@pytest.mark.openmm
@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.md")), ids=lambda path: path.name)
def test_the_blocks_of_a_page_run_in_order(path, tmp_path):
    """All `sh` blocks as one script, with `scripts` and `examples` in reach; then all `python`."""
    for name in ("scripts", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    shell, python = code_blocks(path, "sh"), code_blocks(path, "python")
    assert shell or python
    if shell:
        head = f"set -euo pipefail\nexport BOLTZGEN_CACHE={tmp_path / 'cache'}\n"
        (tmp_path / "page.sh").write_text(head + "".join(shell))
        run_program(["bash", "page.sh"], tmp_path, timeout=600)
    if python:
        (tmp_path / "page.py").write_text("\n".join(python))
        run_program([sys.executable, "page.py"], tmp_path, timeout=600)
