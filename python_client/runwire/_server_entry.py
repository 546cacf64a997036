"""What belongs to the server's package: the one place where the client names it.

`python -m runwire._server_entry ARGUMENTS` starts a server that is nobody's child, and ends at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn


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
    fail(f"the server needs the package {error.name}: pip install 'runwire[server]'")


def fail(message: str) -> NoReturn:
    """Ends the command with a line that says why."""
    print(f"Error: {message}", file=sys.stderr)
    raise SystemExit(1)


def main() -> None:
    """Starts a server in a child that is left alone; only the child comes back from here, at its end."""
    if os.fork():
        os._exit(0)
    code = server_entry()(sys.argv[1:])
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
