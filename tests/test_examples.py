"""Every example runs: programs as they are, pages by their code blocks."""

import sys

import pytest

from tests.programs import code_blocks, run_program
from tests.sources import ROOT

EXAMPLES = ROOT / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_a_program_runs(path, tmp_path):
    assert run_program([sys.executable, str(path)], tmp_path).strip()


@pytest.mark.openmm
@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.md")), ids=lambda path: path.name)
def test_the_blocks_of_a_page_run_in_order(path, tmp_path):
    """All `sh` blocks as one script, with `scripts` and `examples` in reach; then all `python`."""
    for name in ("scripts", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    shell, python = code_blocks(path, "sh"), code_blocks(path, "python")
    assert shell or python
    if shell:
        (tmp_path / "page.sh").write_text("set -euo pipefail\n" + "".join(shell))
        run_program(["bash", "page.sh"], tmp_path, timeout=600)
    if python:
        (tmp_path / "page.py").write_text("\n".join(python))
        run_program([sys.executable, "page.py"], tmp_path, timeout=600)
