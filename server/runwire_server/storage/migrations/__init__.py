"""Schema migrations, by alembic; one tree for both databases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from runwire_server.errors import StartupError


def upgrade(connection: sa.Connection) -> bool:
    """Brings the schema up to date; a unit. Returns whether there was anything to do.

    Raises:
        StartupError: if the database was made by a newer Runwire; it is not changed.
    """
    config = Config()
    config.set_main_option("script_location", "runwire_server:storage/migrations")
    script = ScriptDirectory.from_config(config)
    current = MigrationContext.configure(connection).get_current_revision()
    if current == script.get_current_head():
        return False
    if current is not None and current not in {revision.revision for revision in script.walk_revisions()}:
        raise StartupError(
            f"the database has the schema {current}, which this version of Runwire does not know; "
            "it was made by a newer one and was not changed"
        )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    return True
