"""Run by alembic: migrates on the connection that it is given, inside that one's transaction."""

from __future__ import annotations

from alembic import context

from runwire_server.storage.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # The unit's transaction is the migration's: all of an upgrade, or nothing.
    transactional_ddl=True,
)
context.run_migrations()
