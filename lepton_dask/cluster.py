"""A Dask cluster from a configuration: one started on this machine, or one that is there."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker

import dask
import distributed
from dask.system import CPU_COUNT
from dask.utils import format_bytes, parse_bytes
from distributed import Client, Security
from distributed.comm import CommClosedError
from distributed.system import MEMORY_LIMIT
from distributed.utils import silence_logging_cmgr

from lepton_dask.config.cluster import AddressCluster, LocalCluster, TlsFiles
from lepton_dask.config.load import LoadedConfig
from lepton_dask.dask_settings import SETTINGS, settings
from lepton_dask.errors import ClusterError, LeptonError, Mistake, UserError

LOOPBACK = "127.0.0.1"
POLL_S = 1.0
"""How often a session looks at its cluster, and how long it gives it to answer."""
DIAL_S = 5.0
"""For one attempt to reach a scheduler: between two of them the run can be stopped."""
GRACE_S = 1.0
"""For a worker to end by itself with its session. One in the middle of a task, of the 600 s that
somebody's function may take, is killed then; Dask would give it five seconds."""
LOG_LEVEL = logging.CRITICAL
"""For Dask's own logs: they repeat with tracebacks, and bury, what a run says in one sentence."""


class Session:
    """A connected client and what a run needs to know of its cluster: whether it is its own, too,
    started for this session and ended with it."""

    def __init__(self, client: Client, worker_timeout_s: float, *, is_own: bool) -> None:
        self.client = client
        self.is_own = is_own
        self.worker_timeout_s = worker_timeout_s
        self._lock = threading.Lock()
        self._looked_at = time.monotonic()
        self._gone_since: float | None = None

    @property
    def address(self) -> str:
        return str(self.client.scheduler.address)

    @property
    def dashboard(self) -> str:
        return str(self.client.dashboard_link or "")

    def check(self) -> None:
        """Raises ClusterError once no worker has been there for `worker_timeout_s` seconds.

        Dask itself waits for ever for a worker to come back. Cheap enough to be called from every
        loop that waits: it looks at most once a second.
        """
        with self._lock:
            now = time.monotonic()
            if now - self._looked_at < POLL_S:
                return
            if self.client.status == "closed":
                raise ClusterError(f"the connection to the scheduler at {self.address} was lost")
            if _worker_count(self.client) > 0:
                self._gone_since = None
            elif self._gone_since is None:
                self._gone_since = now
            elif now - self._gone_since > self.worker_timeout_s:
                raise ClusterError(
                    f"the cluster at {self.address} was lost: no worker for "
                    f"{self.worker_timeout_s:g} s; try again when it has workers"
                )
            self._looked_at = time.monotonic()


def _worker_count(client: Client) -> int:
    """The scheduler's answer, within a time limit: one that hangs would take the run with it."""
    try:
        scheduler = client.sync(client.scheduler.identity, n_workers=0, callback_timeout=POLL_S)
    except (OSError, TimeoutError):
        return 0
    return int(scheduler["n_workers"])


@contextmanager
def connect(
    loaded: LoadedConfig, *, scheduler: str | None = None, check: Callable[[], None] = lambda: None
) -> Iterator[Session]:
    """A session on the configuration's cluster, or on the scheduler at the given address.

    A cluster that is started here listens on loopback alone and is closed, with its scratch
    folder, when the session ends. `check` is called while there is something to wait for, and may
    raise to end it.

    Raises ClusterError where nothing answers or no worker comes within the configuration's time
    limit, and for whatever fails in the session after its connection was lost; UserError for
    certificate files that are not there.
    """
    config = loaded.config
    cluster = config.cluster
    if scheduler is not None:
        cluster = _at(scheduler, loaded)
    opened = (
        _started(cluster, config.dashboard)
        if isinstance(cluster, LocalCluster)
        else _reached(cluster, loaded, config.worker_timeout_s, check)
    )
    with silence_logging_cmgr(LOG_LEVEL), opened as client:
        _wait_for_workers(client, config.worker_timeout_s, check)
        with _lost_connection_told(client):
            yield Session(client, config.worker_timeout_s, is_own=isinstance(cluster, LocalCluster))


@contextmanager
def reach(loaded: LoadedConfig, scheduler: str, timeout_s: float) -> Iterator[Client]:
    """A client of the scheduler at an address, whether it has workers or not.

    Raises ClusterError where nothing answers within `timeout_s` seconds, and for whatever fails
    after the connection was lost; UserError for certificate files that are not there.
    """
    opened = _reached(_at(scheduler, loaded), loaded, timeout_s, lambda: None)
    with silence_logging_cmgr(LOG_LEVEL), opened as client, _lost_connection_told(client):
        yield client


def _at(scheduler: str, loaded: LoadedConfig) -> AddressCluster:
    """The scheduler at an address, with the certificates of the configuration."""
    cluster = loaded.config.cluster
    tls = cluster.tls if isinstance(cluster, AddressCluster) else None
    return AddressCluster(kind="address", address=scheduler, tls=tls)


@contextmanager
def _lost_connection_told(client: Client) -> Iterator[None]:
    """Without a connection Dask fails in as many ways as it has methods."""
    try:
        yield
    except LeptonError:
        raise
    except Exception as error:
        # A comm may break before the client has noticed that they all did.
        if client.status == "running" and not isinstance(error, CommClosedError):
            raise
        address = client.scheduler.address
        raise ClusterError(
            f"the connection to the scheduler at {address} was lost ({_reason(error)})"
        ) from error


@contextmanager
def _started(config: LocalCluster, dashboard: str) -> Iterator[Client]:
    with (
        tempfile.TemporaryDirectory(prefix="lepton-", ignore_cleanup_errors=True) as scratch,
        # The scheduler takes its scratch folder from here alone, the workers too.
        dask.config.set({**settings(_memory_bytes(config)), "temporary-directory": scratch}),
    ):
        with _interrupts_held_back():
            cluster = distributed.LocalCluster(
                n_workers=_workers(config),
                threads_per_worker=config.threads_per_worker,
                memory_limit=config.memory_per_worker or "auto",
                host=LOOPBACK,
                dashboard_address=_free_address(dashboard),
                silence_logs=LOG_LEVEL,
            )
        try:
            with Client(cluster) as client:
                yield client
        finally:
            with suppress(TimeoutError):
                cluster.sync(_end_workers, cluster)
            cluster.close()


async def _end_workers(cluster: distributed.LocalCluster) -> None:
    """What is left of a task is for nobody: the session is over."""
    await asyncio.gather(*(each.close(timeout=GRACE_S) for each in cluster.workers.values()))


def _memory_bytes(config: LocalCluster) -> float:
    if config.memory_per_worker is not None:
        return float(parse_bytes(config.memory_per_worker))
    return float(MEMORY_LIMIT / _workers(config))


def _workers(config: LocalCluster) -> int:
    return config.workers or max(1, CPU_COUNT // config.threads_per_worker)


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Starts threads and processes that never see SIGINT.

    Ctrl-C reaches the whole foreground process group: workers would die of it with tracebacks
    while the run is closing them. The signal mask is inherited by the cluster's event-loop thread
    and by every worker process started from there; one that arrives meanwhile is delivered after.
    """
    # Whoever starts the tracker has SIGINT unblocked behind it: else the first worker would.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _free_address(dashboard: str) -> str:
    """The dashboard's address, with port 0 (any) where the port is taken."""
    host, _, port = dashboard.rpartition(":")
    host = host or LOOPBACK
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError:
            return f"{host}:0"
    return f"{host}:{port}"


@contextmanager
def _reached(
    config: AddressCluster, loaded: LoadedConfig, timeout_s: float, check: Callable[[], None]
) -> Iterator[Client]:
    if config.tls is None and config.address.startswith("tls://"):
        raise ClusterError(
            f"the scheduler at {config.address} lets nobody in without a certificate; name yours "
            "under `tls:` in the configuration"
        )
    security = _security(config.tls, loaded) if config.tls else None
    hint = (
        "do the certificates come from its authority?"
        if config.tls
        else "is it there, and does it want TLS (`tls:` in the configuration)?"
    )
    deadline = time.monotonic() + timeout_s
    with dask.config.set(SETTINGS):
        while True:
            check()
            left_s = max(deadline - time.monotonic(), 0.1)
            try:
                client = Client(config.address, security=security, timeout=min(left_s, DIAL_S))
                break
            except (OSError, TimeoutError) as error:
                refused = isinstance(_root(error), ssl.SSLError)
                if refused or time.monotonic() > deadline:
                    raise ClusterError(
                        f"cannot connect to a scheduler at {config.address} ({_reason(error)}); "
                        f"{hint}"
                    ) from error
        with client:
            yield client


def _root(error: BaseException) -> BaseException:
    """The innermost cause: distributed wraps the telling one."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _reason(error: BaseException) -> str:
    """The last line of the innermost cause."""
    root = _root(error)
    if isinstance(root, asyncio.CancelledError):
        return "no answer"  # the last attempt ran out of time, and stands for those before it
    lines = str(root).strip().splitlines()
    return lines[-1] if lines else type(root).__name__


def _security(tls: TlsFiles, loaded: LoadedConfig) -> Security:
    """The certificate files, looked up from the configuration's folder."""
    files = [loaded.folder / file for file in (tls.ca_file, tls.cert_file, tls.key_file)]
    mistakes = [
        Mistake(("cluster", "tls", key), f"there is no file '{file}'")
        for key, file in zip(("ca_file", "cert_file", "key_file"), files, strict=True)
        if not file.is_file()
    ]
    ca_file, cert_file, key_file = map(str, files)
    security = Security(
        require_encryption=True,
        tls_ca_file=ca_file,
        tls_client_cert=cert_file,
        tls_client_key=key_file,
    )
    if not mistakes:
        try:
            security.get_connection_args("client")
        except OSError as error:
            found = f"the files are no authority, certificate and key that fit ({error})"
            mistakes = [Mistake(("cluster", "tls"), found, "write PEM files")]
    if mistakes:
        assert loaded.document is not None  # a configuration without a file has no certificates
        raise UserError(map(loaded.document.locate, mistakes))
    return security


def _wait_for_workers(client: Client, timeout_s: float, check: Callable[[], None]) -> None:
    deadline = time.monotonic() + timeout_s
    while not _worker_count(client):
        check()
        if time.monotonic() > deadline:
            raise ClusterError(
                f"the scheduler at {client.scheduler.address} has no worker after "
                f"{timeout_s:g} s; start workers, or raise worker_timeout_s in the configuration"
            )
        time.sleep(0.1)


def describe(session: Session) -> str:
    """`2 workers, 2 threads, 4.00 GiB at tcp://127.0.0.1:40123`."""
    workers = session.client.scheduler_info(n_workers=-1)["workers"].values()
    threads = sum(worker["nthreads"] for worker in workers)
    memory = sum(worker["memory_limit"] or 0 for worker in workers)
    plural = "" if len(workers) == 1 else "s"
    size = f"{len(workers)} worker{plural}, {threads} thread{'' if threads == 1 else 's'}"
    return f"{size}, {format_bytes(memory)} at {session.address}"
