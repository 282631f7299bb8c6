"""Addresses of schedulers, and what is said where none answers."""

import os
import signal
import socket

import pytest
from distributed.versions import error_message

from sweep.cluster import ClusterSettings
from sweep.connection import check_address, interrupts_held, mismatch, remote_client


def _connect(address, timeout=10.0):
    with remote_client(address, timeout=timeout):
        pass


def _closed_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{taken.getsockname()[1]}"


def test_nobody_answers(capsys):
    address = _closed_port()
    with pytest.raises(OSError, match=f"cannot connect to {address}: Connection refused") as caught:
        _connect(address)
    assert len(str(caught.value).splitlines()) == 1
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(OSError, match=f"{address}: no answer within 0.5 s"):
            _connect(address, timeout=0.5)
    assert "".join(capsys.readouterr()) == ""


@pytest.mark.parametrize(
    "text", ["", "host", "host:1", "tcp://host", "tcp://:1", "tcp://h:x", "tcp://h:99999",
             "http://h:1", "tcp://h:0", "tcp://h:1/x"],
)  # fmt: skip
def test_malformed_addresses(text):
    with pytest.raises(ValueError, match="--scheduler: expected tcp://HOST:PORT, got") as caught:
        ClusterSettings(scheduler=text)
    assert repr(text) in str(caught.value)


def test_addresses():
    assert check_address("tcp://10.0.0.7:8786") == ("10.0.0.7", 8786)
    assert check_address("tcp://[::1]:8786") == ("::1", 8786)


def test_different_versions_are_said_in_words():
    here, there = ({"packages": {"python": p, "dask": "1"}} for p in ("3.11.7", "3.12.1"))
    table = error_message(there, {"w": there}, here)["warning"]
    assert "| python" in table
    assert mismatch(table) == (
        "different versions: python 3.11.7 here, 3.12.1 there, 3.12.1 on workers"
    )


@pytest.fixture
def interruptible():
    """Interrupts as in the foreground, also where the tests run as a background job."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def _interrupted(n_before, n_after, seen):
    """Interrupts inside the block, with a look at them between and at the end."""
    with interrupts_held() as check:
        for _ in range(n_before):
            os.kill(os.getpid(), signal.SIGINT)
        seen.append("held")
        check()
        seen.append("looked")
        for _ in range(n_after):
            os.kill(os.getpid(), signal.SIGINT)
        seen.append("end")


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(
    ("n_before", "n_after", "reached"),
    [(1, 0, ["held"]), (2, 0, []), (0, 1, ["held", "looked", "end"]), (0, 2, ["held", "looked"])],
)
def test_an_interrupt_waits_until_it_is_let_through_and_a_second_does_not(
    n_before, n_after, reached
):
    seen = []
    with pytest.raises(KeyboardInterrupt):
        _interrupted(n_before, n_after, seen)
    assert seen == reached
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    _interrupted(0, 0, seen)
    assert seen[len(reached) :] == ["held", "looked", "end"]


@pytest.mark.usefixtures("interruptible")
def test_ignored_interrupts_stay_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    seen = []
    _interrupted(2, 2, seen)
    assert seen == ["held", "looked", "end"]
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
