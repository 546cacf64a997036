"""The tables. One schema for SQLite and PostgreSQL; changed by migrations only.

Conventions: times are integer unix milliseconds; text compares byte by byte on both databases
(`COLLATE "C"` on PostgreSQL, BINARY on SQLite); every child of a run uses the run's integer row key.

Search reads `runs`, or walks a covering index of `params`, `tags` or `metric_series`. So these copy
three columns of their run (`experiment`, `lifecycle`, `start_time`), which change rarely or never.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite

metadata = MetaData()

TEXT = Text().with_variant(Text(collation="C"), "postgresql")
# SQLite makes a primary key an alias of the rowid only for the exact type INTEGER.
ROW_KEY = BigInteger().with_variant(Integer(), "sqlite")
DOUBLE = (
    Float(53).with_variant(postgresql.DOUBLE_PRECISION(), "postgresql").with_variant(sqlite.REAL(), "sqlite")
)

# Lifecycle of runs and experiments. PURGED is a tombstone: its rows are gone or going.
ACTIVE, DELETED, PURGED = 0, 1, 2

# Values longer than this stay out of the value indexes: PostgreSQL's b-tree entries end at 2.7 kB.
# A literal in every statement that wants such an index, since partial indexes match by text.
INDEXED_VALUE_LENGTH = 200

experiments = Table(
    "experiments",
    metadata,
    Column("id", ROW_KEY, primary_key=True),
    Column("name", TEXT, nullable=False),
    Column("lifecycle", SmallInteger, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Column("update_time", BigInteger, nullable=False),
    # When it was deleted; gc counts from here.
    Column("delete_time", BigInteger),
    UniqueConstraint("name", name="experiments_by_name"),
    # Ids are never used again, not even the highest one.
    sqlite_autoincrement=True,
)
# SearchExperiments in its default order.
Index(
    "experiments_by_create_time", experiments.c.lifecycle, experiments.c.create_time.desc(), experiments.c.id
)

experiment_tags = Table(
    "experiment_tags",
    metadata,
    Column("experiment", ROW_KEY, ForeignKey("experiments.id"), nullable=False),
    Column("key", TEXT, nullable=False),
    Column("value", TEXT, nullable=False),
    PrimaryKeyConstraint("experiment", "key"),
    sqlite_with_rowid=False,
)

runs = Table(
    "runs",
    metadata,
    Column("id", ROW_KEY, primary_key=True),
    Column("run_id", TEXT, nullable=False),
    # No foreign key: tombstones outlive their purged experiment.
    Column("experiment", BigInteger, nullable=False),
    Column("name", TEXT, nullable=False),
    # A `RunStatus` number.
    Column("status", SmallInteger, nullable=False),
    # The run's own; whether its experiment is deleted is the experiment's business.
    Column("lifecycle", SmallInteger, nullable=False),
    Column("start_time", BigInteger, nullable=False),
    Column("end_time", BigInteger),
    # The parent's public id: it is only ever shown and compared.
    Column("parent_run_id", TEXT),
    # SHA-256 of the payload that created the run: a repeat is told from another payload by it.
    Column("create_hash", LargeBinary, nullable=False),
    Column("delete_time", BigInteger),
    # Log positions count step rows: the next free one, and the first that no summary covers yet.
    Column("next_position", BigInteger, nullable=False, server_default="0"),
    Column("folded_position", BigInteger, nullable=False, server_default="0"),
    # 1 while a purged run still has rows to remove.
    Column("purging", SmallInteger, nullable=False, server_default="0"),
    # Points move from the log to stripes, and from stripes to sealed chunks: below `compacted_position` the
    # log's rows do not count any more, below `sealed_position` the stripes' do not. Never beyond each other:
    # sealed <= compacted <= next.
    Column("compacted_position", BigInteger, nullable=False, server_default="0"),
    Column("sealed_position", BigInteger, nullable=False, server_default="0"),
    # When its client last said that it is alive; NULL for runs that never did, and ended ones.
    Column("heartbeat_time", BigInteger),
    UniqueConstraint("run_id", name="runs_by_run_id"),
)
# SearchRuns in its default order.
Index("runs_by_start_time", runs.c.experiment, runs.c.lifecycle, runs.c.start_time.desc(), runs.c.run_id)
# SearchRuns by status, in the default order.
Index(
    "runs_by_status",
    runs.c.experiment,
    runs.c.lifecycle,
    runs.c.status,
    runs.c.start_time.desc(),
    runs.c.run_id,
)
# SearchRuns by name, and in the order of names. 500 characters of 4 bytes still fit into PostgreSQL's
# 2.7 kB, so that it needs no condition.
Index(
    "runs_by_name",
    runs.c.experiment,
    runs.c.lifecycle,
    runs.c.name,
    runs.c.start_time.desc(),
    runs.c.run_id,
)
# SearchRuns by parent: the children of a run.
Index(
    "runs_by_parent",
    runs.c.parent_run_id,
    sqlite_where=text("parent_run_id IS NOT NULL"),
    postgresql_where=text("parent_run_id IS NOT NULL"),
)
# Purge: what to mark, and what is left to remove.
Index(
    "runs_deleted",
    runs.c.delete_time,
    sqlite_where=text("lifecycle = 1"),
    postgresql_where=text("lifecycle = 1"),
)
Index("runs_purging", runs.c.id, sqlite_where=text("purging = 1"), postgresql_where=text("purging = 1"))
# What a server that starts has to fold: runs whose summaries do not cover all of their points.
Index(
    "runs_unfolded",
    runs.c.id,
    sqlite_where=text("folded_position < next_position"),
    postgresql_where=text("folded_position < next_position"),
)
# Runs with a lease, to find those that fell silent.
Index(
    "runs_leased",
    runs.c.heartbeat_time,
    sqlite_where=text("heartbeat_time IS NOT NULL"),
    postgresql_where=text("heartbeat_time IS NOT NULL"),
)


def _values_of_runs(name: str) -> Table:
    """Params and tags have one shape: a text for each key of a run."""
    table = Table(
        name,
        metadata,
        Column("run", ROW_KEY, ForeignKey("runs.id"), nullable=False),
        Column("key", TEXT, nullable=False),
        Column("value", TEXT, nullable=False),
        Column("experiment", BigInteger, nullable=False),
        Column("lifecycle", SmallInteger, nullable=False),
        Column("start_time", BigInteger, nullable=False),
        PrimaryKeyConstraint("run", "key"),
        sqlite_with_rowid=False,
    )
    short = text(f"length(value) <= {INDEXED_VALUE_LENGTH}")
    # `params.model = 'b'`: equal values newest first, and values in order, without a look at the table.
    Index(
        f"{name}_by_value",
        table.c.experiment,
        table.c.key,
        table.c.lifecycle,
        table.c.value,
        table.c.start_time.desc(),
        table.c.run,
        sqlite_where=short,
        postgresql_where=short,
    )
    # The few that are not in the index above, so that both together are all of them.
    long = text(f"length(value) > {INDEXED_VALUE_LENGTH}")
    Index(
        f"{name}_long",
        table.c.experiment,
        table.c.key,
        table.c.lifecycle,
        table.c.run,
        sqlite_where=long,
        postgresql_where=long,
    )
    return table


params = _values_of_runs("params")
tags = _values_of_runs("tags")

datasets = Table(
    "datasets",
    metadata,
    Column("id", ROW_KEY, primary_key=True),
    Column("experiment", BigInteger, nullable=False),
    # SHA-256 of all fields: data sets are the same when all of it is.
    Column("content_hash", LargeBinary, nullable=False),
    Column("name", TEXT, nullable=False),
    Column("digest", TEXT, nullable=False),
    Column("source_type", TEXT, nullable=False),
    Column("source", TEXT, nullable=False),
    Column("schema", TEXT, nullable=False),
    Column("profile", TEXT, nullable=False),
    UniqueConstraint("experiment", "content_hash", name="datasets_by_content"),
)
# SearchRuns by `dataset.name` and `dataset.digest`.
Index("datasets_by_name", datasets.c.experiment, datasets.c.name, datasets.c.digest)

run_inputs = Table(
    "run_inputs",
    metadata,
    Column("run", ROW_KEY, ForeignKey("runs.id"), nullable=False),
    # Keeps the order in which inputs were logged.
    Column("position", Integer, nullable=False),
    Column("dataset", ROW_KEY, ForeignKey("datasets.id"), nullable=False),
    Column("context", TEXT, nullable=False),
    PrimaryKeyConstraint("run", "position"),
    UniqueConstraint("run", "dataset", "context", name="run_inputs_once"),
    sqlite_with_rowid=False,
)
Index("run_inputs_by_dataset", run_inputs.c.dataset, run_inputs.c.run)

metric_group = Table(
    "metric_group",
    metadata,
    Column("id", ROW_KEY, primary_key=True),
    Column("run", ROW_KEY, ForeignKey("runs.id"), nullable=False),
    # First 16 bytes of SHA-256 over the ordered keys, each followed by a NUL.
    Column("hash", LargeBinary, nullable=False),
    # The keys, each followed by a NUL, in UTF-8.
    Column("keys", LargeBinary, nullable=False),
    UniqueConstraint("run", "hash", name="metric_group_by_hash"),
)

metric_log = Table(
    "metric_log",
    metadata,
    Column("run", ROW_KEY, ForeignKey("runs.id"), nullable=False),
    # The row holds the step rows of positions [first, first + rows). It counts only while `first` is not
    # below the run's compacted_position.
    Column("first", BigInteger, nullable=False),
    Column("rows", Integer, nullable=False),
    # Format byte and blocks; see domain/blocks.py.
    Column("data", LargeBinary, nullable=False),
    PrimaryKeyConstraint("run", "first"),
)

# Key-major pieces of runs, made of the log in the background: K keys by S step rows each.
metric_chunk = Table(
    "metric_chunk",
    metadata,
    Column("run", ROW_KEY, ForeignKey("runs.id"), nullable=False),
    # A `STRIPE` counts from the run's sealed_position to its compacted_position, a
    # `SEALED` one below the former.
    Column("level", SmallInteger, nullable=False),
    # The rows of one compaction share a range of log positions, [first, end), and have ordinals 0, 1 ...
    Column("first", BigInteger, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("end", BigInteger, nullable=False),
    # Keys are sorted within a row; a key is in at most one row of a range.
    Column("first_key", TEXT, nullable=False),
    Column("last_key", TEXT, nullable=False),
    # How many keys, points of the longest series, and points in all.
    Column("keys", Integer, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("points", Integer, nullable=False),
    # min/max/first/last of each few points of each key; see domain/pyramids.py. Before `data`, so that
    # SQLite reads it without a walk through that.
    Column("pyramid", LargeBinary),
    # Keys, axes and values, compressed; see domain/chunks.py.
    Column("data", LargeBinary, nullable=False),
    PrimaryKeyConstraint("run", "level", "first", "ordinal"),
)
# The rows that may hold a key, found without a look at the blobs.
Index(
    "metric_chunk_by_key",
    metric_chunk.c.run,
    metric_chunk.c.level,
    metric_chunk.c.first_key,
    metric_chunk.c.last_key,
    metric_chunk.c.first,
    metric_chunk.c.ordinal,
    metric_chunk.c.end,
    metric_chunk.c.rows,
    metric_chunk.c.points,
)
STRIPE, SEALED = 1, 2

metric_series = Table(
    "metric_series",
    metadata,
    Column("run", ROW_KEY, ForeignKey("runs.id"), nullable=False),
    Column("key", TEXT, nullable=False),
    Column("experiment", BigInteger, nullable=False),
    Column("lifecycle", SmallInteger, nullable=False),
    Column("start_time", BigInteger, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("nan_count", BigInteger, nullable=False),
    # Sortable: NULL for NaN. `bits` has what a REAL column can not carry.
    Column("latest", DOUBLE),
    Column("latest_step", BigInteger, nullable=False),
    Column("latest_time", BigInteger, nullable=False),
    Column("min", DOUBLE),
    Column("min_step", BigInteger),
    Column("max", DOUBLE),
    Column("max_step", BigInteger),
    Column("first", DOUBLE),
    Column("first_step", BigInteger, nullable=False),
    Column("first_time", BigInteger, nullable=False),
    # The 4 x 8 bytes (little-endian doubles) of latest, min, max, first when one of them is NaN or
    # -0.0, which SQLite would turn into NULL and 0.0; else NULL.
    Column("bits", LargeBinary),
    # The summary covers this series' points below this log position, and at least those below the run's
    # folded_position.
    Column("through", BigInteger, nullable=False, server_default="0"),
    PrimaryKeyConstraint("run", "key"),
    sqlite_with_rowid=False,
)
# `metrics.loss < x`, and order by it: latest values in order, without a look at the table.
Index(
    "metric_series_by_latest",
    metric_series.c.experiment,
    metric_series.c.key,
    metric_series.c.lifecycle,
    metric_series.c.latest,
    metric_series.c.start_time,
    metric_series.c.run,
)

# Writers of frames; see MetricService.StreamFrames.
metric_writer = Table(
    "metric_writer",
    metadata,
    Column("id", ROW_KEY, primary_key=True),
    Column("writer_id", TEXT, nullable=False),
    # The number of the stream that may write.
    Column("epoch", BigInteger, nullable=False),
    # The last frame that is stored, and its chained CRC (unsigned).
    Column("sequence", BigInteger, nullable=False),
    Column("crc", BigInteger, nullable=False),
    Column("replayable", SmallInteger, nullable=False),
    Column("last_used_time", BigInteger, nullable=False),
    UniqueConstraint("writer_id", name="metric_writer_by_id"),
)
# The janitor removes the old ones.
Index("metric_writer_by_last_used_time", metric_writer.c.last_used_time)

metric_rejection = Table(
    "metric_rejection",
    metadata,
    Column("writer", ROW_KEY, ForeignKey("metric_writer.id"), nullable=False),
    # The public id as it was sent; such a run need not exist.
    Column("run_id", TEXT, nullable=False),
    Column("reason", TEXT, nullable=False),
    Column("message", TEXT, nullable=False),
    # JSON.
    Column("metadata", TEXT, nullable=False),
    Column("first_sequence", BigInteger, nullable=False),
    Column("last_sequence", BigInteger, nullable=False),
    Column("records", BigInteger, nullable=False),
    Column("points", BigInteger, nullable=False),
    PrimaryKeyConstraint("writer", "run_id", "reason"),
    sqlite_with_rowid=False,
)

requests = Table(
    "requests",
    metadata,
    Column("request_id", TEXT, primary_key=True),
    # SHA-256 of method and payload.
    Column("hash", LargeBinary, nullable=False),
    Column("response", LargeBinary, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
# The janitor removes the old ones.
Index("requests_by_create_time", requests.c.create_time)
