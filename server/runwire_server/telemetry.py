"""What the server tells Prometheus: figures in a registry of its own, and the endpoint that shows them.

What is counted on the hot path costs some microseconds a transaction or call, never a point; the other
figures are read where they are kept when somebody asks for them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from runwire_server.errors import StartupError
from runwire_server.metrics.engine import MetricEngine
from runwire_server.storage.engine import Engine

# How long a scrape waits for the event loop.
LOOP_SECONDS = 10.0
# From a commit on a fast disk to one that waits for a checkpoint.
SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


@dataclass(frozen=True)
class Figure:
    """A number that is kept elsewhere.

    Attributes:
        name: As Prometheus shall know it.
        description: What it says.
        read: Returns it; called on the event loop, as all that is kept there is.
        grows: Whether it only ever grows, as a counter.
    """

    name: str
    description: str
    read: Callable[[], float]
    grows: bool = False


class Telemetry:
    """The figures of one server; an observer of its database and of its door.

    Attributes:
        registry: What the endpoint shows.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._commits = Histogram(
            "runwire_commit_seconds",
            "Transactions that write, from begin to the end of their commit.",
            buckets=SECONDS,
            registry=self.registry,
        )
        self._syncs = Histogram(
            "runwire_commit_sync_seconds",
            "Their COMMIT alone, which waits for the disk.",
            buckets=SECONDS,
            registry=self.registry,
        )
        self._checkpoints = Histogram(
            "runwire_checkpoint_seconds",
            "Checkpoints of SQLite's write-ahead log.",
            buckets=SECONDS,
            registry=self.registry,
        )
        self._calls = Counter(
            "runwire_calls",
            "Calls that have ended, by method and outcome: OK, CANCELLED or an error's reason.",
            ("method", "outcome"),
            registry=self.registry,
        )

        self._batches = Counter(
            "runwire_log_batches", "LogBatch calls that were stored.", registry=self.registry
        )

    def committed(self, seconds: float, synced: float) -> None:
        """See `storage.engine.Observer.committed`."""
        self._commits.observe(seconds)
        self._syncs.observe(synced)

    def checkpointed(self, seconds: float) -> None:
        """See `storage.engine.Observer.checkpointed`."""
        self._checkpoints.observe(seconds)

    def called(self, method: str, outcome: str) -> None:
        """A call has ended."""
        self._calls.labels(method, outcome).inc()
        if (method, outcome) == ("LogBatch", "OK"):
            self._batches.inc()

    @contextlib.asynccontextmanager
    async def showing(self, *figures: Figure) -> AsyncIterator[None]:
        """Shows figures that are kept elsewhere, within the block."""
        shown = _Figures(figures, asyncio.get_running_loop())
        self.registry.register(shown)
        try:
            yield
        finally:
            self.registry.unregister(shown)

    @contextlib.contextmanager
    def served(self, host: str, port: int) -> Iterator[str]:
        """Serves the endpoint within the block, which gets its address.

        Args:
            host: Address to listen at.
            port: Port; 0 picks one.

        Raises:
            StartupError: if the port is taken.
        """
        try:
            server, thread = prometheus_client.start_http_server(port, host, self.registry)
        except OSError as error:
            raise StartupError(f"can not serve metrics at {host}:{port}: {error.strerror}") from error
        try:
            yield f"{host}:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def figures(engine: Engine, metrics: MetricEngine) -> tuple[Figure, ...]:
    """Returns what the parts of a server count by themselves."""
    ingest, watches, compactor = metrics.ingest, metrics.watches, metrics.compactor
    return (
        Figure("runwire_points", "Points that were stored.", lambda: metrics.points, grows=True),
        Figure("runwire_frames", "Frames that were stored.", lambda: ingest.frames, grows=True),
        Figure("runwire_rejections", "Records that were rejected.", lambda: ingest.rejected, grows=True),
        Figure("runwire_queue_bytes", "Frames that are not acknowledged.", lambda: ingest.queued_bytes),
        Figure("runwire_backlog_bytes", "Log that waits to be compacted.", lambda: compactor.backlog_bytes),
        Figure("runwire_streams", "Open streams of frames.", lambda: len(ingest.streams)),
        Figure("runwire_watchers", "Open watches.", lambda: watches.watchers),
        Figure("runwire_wal_bytes", "SQLite's write-ahead log in use.", lambda: engine.wal_bytes),
    )


class _Figures(Collector):
    def __init__(self, figures: tuple[Figure, ...], loop: asyncio.AbstractEventLoop) -> None:
        self._figures = figures
        self._loop = loop

    def collect(self) -> Iterator[Metric]:
        """Has them read; on the endpoint's thread."""
        numbers = asyncio.run_coroutine_threadsafe(self._read(), self._loop).result(LOOP_SECONDS)
        for figure, number in zip(self._figures, numbers, strict=True):
            family = CounterMetricFamily if figure.grows else GaugeMetricFamily
            yield family(figure.name, figure.description, value=number)

    async def _read(self) -> list[float]:
        return [figure.read() for figure in self._figures]
