"""Schema migrations, by alembic; one tree for both databases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from runwire_server.errors import StartupError


def check(connection: sa.Connection) -> None:
    """Looks whether this version can work with a database; a unit that changes nothing.

    Raises:
        StartupError: if it was made by a newer Runwire, or by another program.
    """
    script = _script()
    current = MigrationContext.configure(connection).get_current_revision()
    if current is None:
        if sa.inspect(connection).get_table_names():
            raise StartupError("has tables, but is not a Runwire database; it was not changed")
    elif current not in {revision.revision for revision in script.walk_revisions()}:
        raise StartupError(
            f"has the schema {current}, which this version of Runwire does not know; "
            "it was made by a newer one and was not changed"
        )


def upgrade(connection: sa.Connection) -> bool:
    """Brings the schema up to date; a unit. Returns whether there was anything to do.

    Raises:
        StartupError: as `check` does.
    """
    check(connection)
    script = _script()
    if MigrationContext.configure(connection).get_current_revision() == script.get_current_head():
        return False
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    return True


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "runwire_server:storage/migrations")
    return config


def _script() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())
