"""A disk that is nearly full: SQLite may use few pages."""

from runwire_server.storage import sqlite

sqlite.WRITER_PRAGMAS = (*sqlite.WRITER_PRAGMAS, "PRAGMA max_page_count = 600")
