"""The first schema: experiments, runs, params, tags, inputs, metrics, requests."""

from __future__ import annotations

import time

import sqlalchemy as sa
from alembic import op

from runwire_server.storage.schema import DOUBLE, ROW_KEY, TEXT

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the tables, and the Default experiment."""
    op.create_table(
        "datasets",
        sa.Column("id", ROW_KEY, nullable=False),
        sa.Column("experiment", sa.BigInteger(), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("source_type", TEXT, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("schema", TEXT, nullable=False),
        sa.Column("profile", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("experiment", "content_hash", name="datasets_by_content"),
    )
    op.create_index("datasets_by_name", "datasets", ["experiment", "name", "digest"], unique=False)
    op.create_table(
        "experiments",
        sa.Column("id", ROW_KEY, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("lifecycle", sa.SmallInteger(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("update_time", sa.BigInteger(), nullable=False),
        sa.Column("delete_time", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name", name="experiments_by_name"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "experiments_by_create_time",
        "experiments",
        ["lifecycle", sa.literal_column("create_time DESC"), "id"],
        unique=False,
    )
    op.create_table(
        "requests",
        sa.Column("request_id", TEXT, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("response", sa.LargeBinary(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("request_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("requests_by_create_time", "requests", ["create_time"], unique=False)
    op.create_table(
        "runs",
        sa.Column("id", ROW_KEY, nullable=False),
        sa.Column("run_id", TEXT, nullable=False),
        sa.Column("experiment", sa.BigInteger(), nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("lifecycle", sa.SmallInteger(), nullable=False),
        sa.Column("start_time", sa.BigInteger(), nullable=False),
        sa.Column("end_time", sa.BigInteger(), nullable=True),
        sa.Column("parent_run_id", TEXT, nullable=True),
        sa.Column("create_hash", sa.LargeBinary(), nullable=False),
        sa.Column("delete_time", sa.BigInteger(), nullable=True),
        sa.Column("next_position", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("folded_position", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("purging", sa.SmallInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("run_id", name="runs_by_run_id"),
    )
    op.create_index(
        "runs_by_name",
        "runs",
        ["experiment", "lifecycle", "name", sa.literal_column("start_time DESC"), "run_id"],
        unique=False,
    )
    op.create_index(
        "runs_by_parent",
        "runs",
        ["parent_run_id"],
        unique=False,
        sqlite_where=sa.text("parent_run_id IS NOT NULL"),
        postgresql_where=sa.text("parent_run_id IS NOT NULL"),
    )
    op.create_index(
        "runs_by_start_time",
        "runs",
        ["experiment", "lifecycle", sa.literal_column("start_time DESC"), "run_id"],
        unique=False,
    )
    op.create_index(
        "runs_by_status",
        "runs",
        ["experiment", "lifecycle", "status", sa.literal_column("start_time DESC"), "run_id"],
        unique=False,
    )
    op.create_index(
        "runs_deleted",
        "runs",
        ["delete_time"],
        unique=False,
        sqlite_where=sa.text("lifecycle = 1"),
        postgresql_where=sa.text("lifecycle = 1"),
    )
    op.create_index(
        "runs_purging",
        "runs",
        ["id"],
        unique=False,
        sqlite_where=sa.text("purging = 1"),
        postgresql_where=sa.text("purging = 1"),
    )
    op.create_table(
        "experiment_tags",
        sa.Column("experiment", ROW_KEY, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["experiment"],
            ["experiments.id"],
        ),
        sa.PrimaryKeyConstraint("experiment", "key"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "metric_group",
        sa.Column("id", ROW_KEY, nullable=False),
        sa.Column("run", ROW_KEY, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("keys", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run"],
            ["runs.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("run", "hash", name="metric_group_by_hash"),
    )
    op.create_table(
        "metric_log",
        sa.Column("run", ROW_KEY, nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run"],
            ["runs.id"],
        ),
        sa.PrimaryKeyConstraint("run", "first"),
    )
    op.create_table(
        "metric_series",
        sa.Column("run", ROW_KEY, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("experiment", sa.BigInteger(), nullable=False),
        sa.Column("lifecycle", sa.SmallInteger(), nullable=False),
        sa.Column("start_time", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("nan_count", sa.BigInteger(), nullable=False),
        sa.Column("latest", DOUBLE, nullable=True),
        sa.Column("latest_step", sa.BigInteger(), nullable=False),
        sa.Column("latest_time", sa.BigInteger(), nullable=False),
        sa.Column("min", DOUBLE, nullable=True),
        sa.Column("min_step", sa.BigInteger(), nullable=True),
        sa.Column("max", DOUBLE, nullable=True),
        sa.Column("max_step", sa.BigInteger(), nullable=True),
        sa.Column("first", DOUBLE, nullable=True),
        sa.Column("first_step", sa.BigInteger(), nullable=False),
        sa.Column("first_time", sa.BigInteger(), nullable=False),
        sa.Column("bits", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["run"],
            ["runs.id"],
        ),
        sa.PrimaryKeyConstraint("run", "key"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "metric_series_by_latest",
        "metric_series",
        ["experiment", "key", "lifecycle", "latest", "start_time", "run"],
        unique=False,
    )
    op.create_table(
        "params",
        sa.Column("run", ROW_KEY, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.Column("experiment", sa.BigInteger(), nullable=False),
        sa.Column("lifecycle", sa.SmallInteger(), nullable=False),
        sa.Column("start_time", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run"],
            ["runs.id"],
        ),
        sa.PrimaryKeyConstraint("run", "key"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "params_by_value",
        "params",
        ["experiment", "key", "lifecycle", "value", sa.literal_column("start_time DESC"), "run"],
        unique=False,
        sqlite_where=sa.text("length(value) <= 200"),
        postgresql_where=sa.text("length(value) <= 200"),
    )
    op.create_index(
        "params_long",
        "params",
        ["experiment", "key", "lifecycle", "run"],
        unique=False,
        sqlite_where=sa.text("length(value) > 200"),
        postgresql_where=sa.text("length(value) > 200"),
    )
    op.create_table(
        "run_inputs",
        sa.Column("run", ROW_KEY, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("dataset", ROW_KEY, nullable=False),
        sa.Column("context", TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["dataset"],
            ["datasets.id"],
        ),
        sa.ForeignKeyConstraint(
            ["run"],
            ["runs.id"],
        ),
        sa.PrimaryKeyConstraint("run", "position"),
        sa.UniqueConstraint("run", "dataset", "context", name="run_inputs_once"),
        sqlite_with_rowid=False,
    )
    op.create_index("run_inputs_by_dataset", "run_inputs", ["dataset", "run"], unique=False)
    op.create_table(
        "tags",
        sa.Column("run", ROW_KEY, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.Column("experiment", sa.BigInteger(), nullable=False),
        sa.Column("lifecycle", sa.SmallInteger(), nullable=False),
        sa.Column("start_time", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run"],
            ["runs.id"],
        ),
        sa.PrimaryKeyConstraint("run", "key"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "tags_by_value",
        "tags",
        ["experiment", "key", "lifecycle", "value", sa.literal_column("start_time DESC"), "run"],
        unique=False,
        sqlite_where=sa.text("length(value) <= 200"),
        postgresql_where=sa.text("length(value) <= 200"),
    )
    op.create_index(
        "tags_long",
        "tags",
        ["experiment", "key", "lifecycle", "run"],
        unique=False,
        sqlite_where=sa.text("length(value) > 200"),
        postgresql_where=sa.text("length(value) > 200"),
    )

    experiments = sa.table(
        "experiments", *(sa.column(n) for n in ("id", "name", "lifecycle", "create_time", "update_time"))
    )
    now = int(time.time() * 1000)
    op.execute(
        experiments.insert().values(id=0, name="Default", lifecycle=0, create_time=now, update_time=now)
    )
