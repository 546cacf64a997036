"""The metric engine: chunks, writers with their rejections, and how far each summary and level reaches."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from runwire_server.storage.schema import ROW_KEY, TEXT

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds what frames, compaction, leases and folding after the commit need; moves no data."""
    for name in ("compacted_position", "sealed_position"):
        op.add_column("runs", sa.Column(name, sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("runs", sa.Column("heartbeat_time", sa.BigInteger(), nullable=True))
    for name, column, condition in (
        ("runs_unfolded", "id", "folded_position < next_position"),
        ("runs_leased", "heartbeat_time", "heartbeat_time IS NOT NULL"),
    ):
        op.create_index(
            name,
            "runs",
            [column],
            sqlite_where=sa.text(condition),
            postgresql_where=sa.text(condition),
        )
    # 0 is right for all: the run's folded_position counts too, and covers all points of old runs.
    op.add_column("metric_series", sa.Column("through", sa.BigInteger(), server_default="0", nullable=False))
    op.create_table(
        "metric_chunk",
        sa.Column("run", ROW_KEY, nullable=False),
        sa.Column("level", sa.SmallInteger(), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("end", sa.BigInteger(), nullable=False),
        sa.Column("first_key", TEXT, nullable=False),
        sa.Column("last_key", TEXT, nullable=False),
        sa.Column("keys", sa.Integer(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("points", sa.Integer(), nullable=False),
        sa.Column("pyramid", sa.LargeBinary(), nullable=True),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["runs.id"]),
        sa.PrimaryKeyConstraint("run", "level", "first", "ordinal"),
    )
    op.create_index(
        "metric_chunk_by_key",
        "metric_chunk",
        ["run", "level", "first_key", "last_key", "first", "ordinal", "end", "rows", "points"],
    )
    op.create_table(
        "metric_writer",
        sa.Column("id", ROW_KEY, nullable=False),
        sa.Column("writer_id", TEXT, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("crc", sa.BigInteger(), nullable=False),
        sa.Column("replayable", sa.SmallInteger(), nullable=False),
        sa.Column("last_used_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("writer_id", name="metric_writer_by_id"),
    )
    op.create_index("metric_writer_by_last_used_time", "metric_writer", ["last_used_time"])
    op.create_table(
        "metric_rejection",
        sa.Column("writer", ROW_KEY, nullable=False),
        sa.Column("run_id", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("message", TEXT, nullable=False),
        sa.Column("metadata", TEXT, nullable=False),
        sa.Column("first_sequence", sa.BigInteger(), nullable=False),
        sa.Column("last_sequence", sa.BigInteger(), nullable=False),
        sa.Column("records", sa.BigInteger(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["writer"], ["metric_writer.id"]),
        sa.PrimaryKeyConstraint("writer", "run_id", "reason"),
        sqlite_with_rowid=False,
    )
