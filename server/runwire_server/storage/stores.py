"""Opens a database: the engine, the schema brought up to date, and the stores over it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

from runwire_server.errors import RunwireError, StartupError
from runwire_server.storage.appended import AfterCommit, Appended
from runwire_server.storage.base import Stores
from runwire_server.storage.compaction import SqlCompaction
from runwire_server.storage.engine import Engine, Observer
from runwire_server.storage.experiments import SqlExperiments
from runwire_server.storage.leases import SqlLeases
from runwire_server.storage.migrations import check, upgrade
from runwire_server.storage.points import SqlPoints
from runwire_server.storage.purge import SqlMaintenance
from runwire_server.storage.runs import SqlRuns
from runwire_server.storage.sqlite import SqliteEngine
from runwire_server.storage.stats import SqlStats
from runwire_server.storage.writers import SqlWriters


async def open_engine(database: str | Path | None, observer: Observer | None = None) -> Engine:
    """Opens a database and brings its schema up to date.

    Args:
        database: A `postgresql://` URL, the path of an SQLite file, or None for SQLite in memory.
        observer: Is told of commits and checkpoints.

    Raises:
        StartupError: if that can not be done; an SQLite file is then as it was.
    """
    engine: Engine
    if isinstance(database, str):
        # Brings SQLAlchemy's asyncio and ORM packages, a sixth of what a start imports; SQLite needs neither.
        from runwire_server.storage.postgresql import PostgresEngine

        engine = await PostgresEngine.open("postgresql://" + database.split("://", 1)[1], observer)
    else:
        engine = await SqliteEngine.open(database, check, observer)
    try:
        await engine.migrate(upgrade)
    except StartupError as error:
        await engine.close()
        raise StartupError(f"the database {error}") from error
    except RunwireError as error:
        await engine.close()
        raise StartupError(f"the database can not be brought up to date: {error}") from error
    except BaseException:
        await engine.close()
        raise
    return engine


async def nothing(_: Sequence[Appended]) -> None:
    """Follows a commit where no metric engine does."""


def stores_on(
    engine: Engine,
    clock: Callable[[], int],
    chance: random.Random,
    after_commit: AfterCommit = nothing,
) -> Stores:
    """Makes the stores over an open database.

    Args:
        engine: The database.
        clock: Returns unix milliseconds.
        chance: For the names of runs.
        after_commit: Gets what calls have added to runs, before they are answered.
    """
    return Stores(
        experiments=SqlExperiments(engine, clock),
        runs=SqlRuns(engine, clock, chance, after_commit),
        writers=SqlWriters(engine, clock, chance),
        leases=SqlLeases(engine, clock),
        metrics=SqlPoints(engine),
        compaction=SqlCompaction(engine),
        maintenance=SqlMaintenance(engine, clock),
        stats=SqlStats(engine),
    )
