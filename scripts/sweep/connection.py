"""Workers of dask.distributed: started here for the time of a sweep, or found at an address."""

import asyncio
import functools
import logging
import os
import pickle
import queue
import re
import signal
import socket
import sys
import threading
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sweep.attempts import Failure, Function, attempt
from sweep.points import Finished, Point

if TYPE_CHECKING:
    from distributed import Client, Future

_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
_SPAWN = "distributed.nanny.pre-spawn-environ"
_KEEP_FREED_MEMORY = {
    f"{_SPAWN}.MALLOC_TRIM_THRESHOLD_": 2**28, f"{_SPAWN}.MALLOC_MMAP_THRESHOLD_": 2**25,
}  # fmt: skip
"""Dask has workers give memory back after every 64 kB; a flow then takes five times as long."""
_SET_BY_DASK = ("PYTHONHASHSEED", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")
_LOGGERS = ("distributed", "distributed.client", "distributed.gc", "tornado", "asyncio")
_POLL_SECONDS = 1.0
_NO_DASHBOARD = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}
"""And any free port for what is left of it, or it would ask for 8787, which may be taken."""
_PATHS = tuple(str(path) for path in Path(__file__).resolve().parents[1:3])
"""Where our modules lie: scripts, and above it the packages where they are not installed."""


class SweepError(RuntimeError):
    """A sweep cannot start, or has points without result; one line that says what to do."""


def require_dask() -> None:
    """Require what a cluster needs.

    Raises:
        SweepError: It is not installed.
    """
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise SweepError(
            'workers need dask: pip install "boltzgen-flows[cluster]" '
            f"(or --workers 0 for this process alone); {error}"
        ) from error


def check_address(text: str) -> tuple[str, int]:
    """Read tcp://HOST:PORT.

    Raises:
        ValueError: It is something else.
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
        good = parts.scheme == "tcp" and host and port and not parts.path and not parts.query
    except ValueError:
        good = False
    if not good or host is None or port is None:
        raise ValueError(f"--scheduler: expected tcp://HOST:PORT, got {text!r}")
    return host, port


@contextmanager
def local_client(n_workers: int, *, n_deaths: int) -> Iterator["Client"]:
    """Start workers on this machine, one thread each; they end with the block.

    No limit is set on their memory, since a worker that dask pauses for its memory would wait for
    ever; and no time in which they must answer, since a point may hold the interpreter for long.

    Args:
        n_workers: Their number.
        n_deaths: Workers that may die of the same point before it counts as failed, less one.

    Yields:
        The connection.

    Raises:
        SweepError: Dask is not installed.
    """
    require_dask()
    import dask
    from distributed import Client, LocalCluster

    config = {
        "distributed.scheduler.allowed-failures": n_deaths,
        "distributed.scheduler.worker-ttl": None,
        **_KEEP_FREED_MEMORY,
    }
    with ExitStack() as stack:
        stack.enter_context(_quiet())
        stack.enter_context(_one_thread())
        stack.enter_context(dask.config.set(config))
        with _interrupts_wait():
            cluster = LocalCluster(
                n_workers=n_workers, threads_per_worker=1, processes=True, memory_limit=0,
                silence_logs=logging.CRITICAL, scheduler_kwargs=_NO_DASHBOARD,
            )  # fmt: skip
            stack.enter_context(cluster)
            client = stack.enter_context(Client(cluster, set_as_default=False))
        yield client


@contextmanager
def remote_client(address: str, *, timeout: float) -> Iterator["Client"]:
    """Connect to a scheduler that runs already, and leave it running.

    Args:
        address: tcp://HOST:PORT.
        timeout: Seconds to wait for an answer.

    Yields:
        The connection.

    Raises:
        ValueError: The address is malformed.
        OSError: Nothing answers there, or something else than a scheduler.
        SweepError: Dask is not installed.
    """
    host, port = check_address(address)
    require_dask()
    with _quiet():
        client = _connect(address, host, port, timeout)
        with client:
            yield client


def _connect(address: str, host: str, port: int, timeout: float) -> "Client":
    from distributed import Client

    try:
        socket.create_connection((host, port), timeout=timeout).close()  # refused without delay
        kind = asyncio.run(asyncio.wait_for(_kind_of_server(address), timeout))
        if kind != "Scheduler":
            raise OSError(None, f"it is the address of a {kind.lower()}")
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            client = Client(address, timeout=timeout, set_as_default=False)
    except TimeoutError as error:
        raise OSError(
            f"--scheduler: cannot connect to {address}: no answer within {timeout:g} s"
        ) from error
    except Exception as error:
        cause = getattr(error, "strerror", None) or "what answers is no scheduler of dask"
        raise OSError(f"--scheduler: cannot connect to {address}: {cause}") from error
    for warning in found:
        if warning.category.__name__ == "VersionMismatchWarning":
            print(f"warning: {address}: {mismatch(str(warning.message))}", file=sys.stderr)
    return client


async def _kind_of_server(address: str) -> str:
    """What a server of dask says that it is; any other server answers nothing or nonsense."""
    from distributed import rpc

    async with rpc(address) as server:
        return str((await server.identity())["type"])


def mismatch(table: str) -> str:
    """Say in words what distributed's table of different versions says."""
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()]
    rows = [row for row in cells if len(row) == 4 and row[0] != "Package"]
    words = [f"{name} {here} here, {there} there, {w} on workers" for name, here, there, w in rows]
    return "different versions: " + "; ".join(words or [" ".join(table.split())])


def _courier() -> Callable[[tuple[str, ...], bytes], Finished | Failure]:
    """What a worker runs.

    A function without a module travels whole, its types as text, and its argument as bytes. So the
    scheduler, which looks into both, needs none of our modules, and a worker that sees the same
    files finds them.
    """

    def compute(paths: tuple[str, ...], task: bytes) -> "Finished | Failure":
        sys.path.extend(path for path in paths if path not in sys.path)
        attempt, function, point = pickle.loads(task)
        return attempt(function, point)

    return compute


@contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Ctrl-C inside the block counts at its end.

    A terminal sends it to all processes: those started from the block's new threads, now or later,
    do not receive it, so that this program decides what becomes of them.
    """
    caught: list[int] = []
    resource_tracker.ensure_running()  # its start would let signals through again
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    in_main = _takes_interrupts()
    before = signal.signal(signal.SIGINT, lambda n, _: caught.append(n)) if in_main else None
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if in_main:
            signal.signal(signal.SIGINT, before)
    if caught:
        raise KeyboardInterrupt


def _takes_interrupts() -> bool:
    """Whether this thread is the one that Ctrl-C goes to, and it is not ignored."""
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    return threading.current_thread() is threading.main_thread() and not ignored


@contextmanager
def interrupts_held() -> Iterator[Callable[[], None]]:
    """Ctrl-C inside the block counts only where the function that it gives is called.

    An interrupt in the midst of a call of dask may leave a lock behind, at which closing the
    connection would wait for ever. A second Ctrl-C counts at once. Where the program was started
    with interrupts ignored, as background jobs of a shell script are, they stay so.
    """
    caught: list[int] = []

    def hold(number: int, _: object) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)

    def let_through() -> None:
        if caught:
            raise KeyboardInterrupt

    if not _takes_interrupts():
        yield let_through
        return
    before = signal.signal(signal.SIGINT, hold)
    try:
        yield let_through
    finally:
        signal.signal(signal.SIGINT, before)
    let_through()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Processes started inside the block compute on one thread."""
    before = {name: os.environ.get(name) for name in (*_ONE_THREAD, *_SET_BY_DASK)}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the logs of distributed from the terminal; what matters is said by the sweep."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class DaskWorkers:
    """Computes points on workers of dask, each result fetched as soon as it is there.

    No more points are submitted than there are threads. Dask blames a dead worker on all points
    that it had been given, those that waited too; a point that kills its worker would in the end
    take the others with it.

    Args:
        function: What computes a point.
        client: The connection.
        name: What it is connected to, for messages.
        let_through: Raises what `interrupts_held` holds back.
    """

    def __init__(
        self, function: Function, client: "Client", name: str, let_through: Callable[[], None]
    ) -> None:
        self._function, self._client, self._name = function, client, name
        self._compute, self._let_through = _courier(), let_through
        self._running: dict[str, tuple[Future, Point]] = {}
        self._submitted: set[str] = set()
        self._done: queue.SimpleQueue[str] = queue.SimpleQueue()

    @property
    def n_running(self) -> int:
        """Points submitted and not handed out."""
        return len(self._running)

    def has_room(self) -> bool:
        """Whether a thread is free; one point is submitted even before there is a worker."""
        return not self._running or self.n_running < self._n_threads()

    def _n_threads(self) -> int:
        try:
            return sum(self._client.nthreads().values())
        except Exception as error:
            raise self._lost() from error

    def submit(self, point: Point) -> None:
        """Send a point."""
        from distributed.protocol.pickle import dumps

        key = f"{re.sub(r'[^A-Za-z0-9]+', '_', point.label)}-{uuid.uuid4().hex}"
        task = dumps((attempt, self._function, point))
        try:
            future = self._client.submit(self._compute, _PATHS, task, key=key, pure=False)
            self._running[key] = future, point
            self._submitted.add(key)
            future.add_done_callback(functools.partial(_note, self._done, key))
        except Exception as error:
            raise self._lost() from error

    def wait(self) -> list[tuple[Point, Finished | Failure]]:
        """What has come back within a second; here, and nowhere else, Ctrl-C ends the sweep."""
        self._let_through()
        try:
            key = self._done.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            return []
        future, point = self._running[key]
        answer = self._fetch(future)
        del self._running[key]
        return [(point, answer)]

    def _fetch(self, future: "Future") -> Finished | Failure:
        from distributed import KilledWorker

        try:
            return future.result()
        except KilledWorker as error:
            times = error.allowed_failures + 1
            reason = f"{times} workers died of it (killed, or out of memory)"
            return Failure(reason, reason, may_pass=False)
        except ImportError as error:
            raise SweepError(
                f"{self._name}: its workers cannot import what the sweep needs ({error}): start "
                "them in the same environment, with the directory scripts in PYTHONPATH"
            ) from error
        except Exception as error:
            if future.status != "error":
                raise self._lost() from error
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            return Failure(reason, reason, may_pass=True)

    def _lost(self) -> OSError:
        return OSError(f"{self._name}: the connection to the scheduler is lost")

    def warnings(self) -> list[str]:
        """How often a worker died over a point."""
        n = 0
        for _, event in self._client.get_events("all"):
            if event.get("action") == "remove-worker" and not event.get("expected"):
                n += not self._submitted.isdisjoint(event.get("processing-tasks", ()))
        if not n:
            return []
        return [f"workers that died while computing: {n}"]


def _note(done: "queue.SimpleQueue[str]", key: str, _: object) -> None:
    done.put(key)
