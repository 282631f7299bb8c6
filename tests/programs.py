"""Run a program as a user would: in another process and an empty directory."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.sources import ROOT


def run_program(command: list[str], folder: Path, *, timeout: int = 300) -> str:
    """Run a command with this environment's Python first on the path; return what it printed."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    threads = {"OMP_NUM_THREADS": "1"} if "PYTEST_XDIST_WORKER" in os.environ else {}
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), **threads}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout
    )
    assert done.returncode == 0, f"{command} gave {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def code_blocks(path: Path, language: str) -> list[str]:
    """Fenced blocks of one language in a Markdown file, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(), re.DOTALL | re.MULTILINE)


def prose(path: Path) -> str:
    """A Markdown file without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
