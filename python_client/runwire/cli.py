"""The `runwire` command: its entry point, and the two subcommands that belong to the server's package.

The commands themselves are in `_commands`, which needs click and rich (extra `cli`); this module
needs nothing, so that a missing package is one line and not a traceback.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import NoReturn


def main() -> None:
    """Runs the command with the arguments of the process.

    Raises:
        SystemExit: Always at the end: 0 if all went well, 1 if it failed, 2 if it was misused.
    """
    try:
        from runwire import _commands
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("click", "rich"):
            raise
        _fail(f"the runwire command needs the package {error.name}: pip install 'runwire[cli]'")
    _commands.app(prog_name="runwire")


def server_entry() -> Callable[[Sequence[str]], object]:
    """Finds what starts the server.

    Returns:
        A function of the server's arguments.

    Raises:
        SystemExit: The server's packages are not installed.
    """
    try:
        from runwire_server.__main__ import main as serve
    except ModuleNotFoundError as error:
        _server_missing(error)
    return serve


def upgrade_entry() -> Callable[[Sequence[str]], object]:
    """Finds what upgrades a database.

    Returns:
        A function of the upgrade's arguments.

    Raises:
        SystemExit: The server's packages are not installed.
    """
    try:
        from runwire_server.__main__ import db_upgrade
    except ModuleNotFoundError as error:
        _server_missing(error)
    return db_upgrade


def _server_missing(error: ModuleNotFoundError) -> NoReturn:
    _fail(f"the server needs the package {error.name}: pip install 'runwire[server]'")


def _fail(message: str) -> NoReturn:
    print(f"Error: {message}", file=sys.stderr)
    raise SystemExit(1)


if __name__ == "__main__":
    main()
