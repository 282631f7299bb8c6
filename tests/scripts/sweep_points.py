"""What the tests of sweeps compute; apart from them, since workers import it."""

import os
import signal
import time
from pathlib import Path

import numpy as np


def measure(point):
    """Say in a file that the point was begun; then what its settings ask for."""
    with (Path(point.settings["folder"]) / "begun.txt").open("a") as file:
        file.write(f"{point.label} {os.getpid()}\n")
    time.sleep(point.settings.get("seconds", 0.0))
    if len(begun(point.settings["folder"])[point.label]) <= point.settings.get("failures", 0):
        raise ArithmeticError("not this time\nnor so\n")
    if point.settings.get("kills"):
        os.kill(os.getpid(), signal.SIGKILL)
    if "refuses" in point.settings:
        raise ValueError("J: expected another number")
    if "stops" in point.settings:
        raise KeyboardInterrupt
    J, threads = point.couplings["J"], os.environ.get("OMP_NUM_THREADS", "0")
    return {"squares": J**2 * np.arange(4.0), "J": J, "threads": float(threads)}


def measure_otherwise(point):
    """Another quantity of the same points."""
    return {"J": -point.couplings["J"]}


def begun(folder):
    """Process ids of the attempts at each point."""
    file = Path(folder) / "begun.txt"
    lines = file.read_text().splitlines() if file.exists() else []
    words = [line.split() for line in lines]
    return {label: [int(pid) for other, pid in words if other == label] for label, _ in words}


def words(point):
    """What is no result."""
    return {"x": point.label}
