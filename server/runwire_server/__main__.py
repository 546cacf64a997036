"""The server's commands: `main` serves, `db_upgrade` only brings a database up to date."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Sequence

from runwire_server import app, config
from runwire_server.errors import StartupError
from runwire_server.storage.stores import open_engine


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
    """Brings the schema of a database up to date, and says so; takes the server's options."""
    settings = config.read(arguments)

    async def upgrade() -> None:
        with app.locked_folder(settings.data_dir) if settings.database is None else contextlib.nullcontext():
            engine = await open_engine(settings.database or settings.data_dir / "runwire.db")
            await engine.close()
        print("the database is up to date")

    return _run(upgrade())


def _run(work: object) -> int:
    try:
        asyncio.run(work)  # type: ignore[arg-type]
    except StartupError as error:
        print(f"runwire server: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
