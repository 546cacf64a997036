"""The server's commands: `main` serves, `db_upgrade` only brings a database up to date."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine, Sequence
from typing import Any

from runwire_server import app, config
from runwire_server.errors import StartupError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the server until it is told to stop.

    Args:
        arguments: Command line without the program; None for the process's own.

    Returns:
        The exit code.
    """
    settings = config.read(sys.argv[1:] if arguments is None else arguments)
    app.configure_log(settings.log_level)
    return _run(app.serve(settings))


def db_upgrade(arguments: Sequence[str]) -> int:
    """Brings the schema of a database up to date, and says so.

    Args:
        arguments: Command line without the program.

    Returns:
        The exit code.
    """
    database = config.read_upgrade(arguments)

    async def upgrade() -> None:
        if database.url is None and not database.file.exists():
            raise StartupError(f"there is no database in {database.data_dir}")
        async with app.opened(database):
            print("the database is up to date")

    return _run(upgrade())


def _run(work: Coroutine[Any, Any, None]) -> int:
    try:
        asyncio.run(work)
    except StartupError as error:
        print(f"runwire: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
