"""The `runwire` command: its entry point.

The commands themselves are in `_commands`, which needs click and rich (extra `cli`); this module
needs nothing, so that a missing package is one line and not a traceback.
"""

from __future__ import annotations

from runwire._server_entry import fail


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
        fail(f"the runwire command needs the package {error.name}: pip install 'runwire[cli]'")
    _commands.app(prog_name="runwire")


if __name__ == "__main__":
    main()
