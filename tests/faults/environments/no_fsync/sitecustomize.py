"""A planted bug: SQLite answers before its log is on disk."""

from runwire_server.storage import sqlite

sqlite.WRITER_PRAGMAS = tuple(pragma.replace("= FULL", "= OFF") for pragma in sqlite.WRITER_PRAGMAS)
