"""The migrated schema, statement by statement: alembic's comparison looks past partial indexes and orders."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from tests.support.postgres import Postgres

from runwire_server.storage.engine import Engine, Unit
from runwire_server.storage.migrations import check
from runwire_server.storage.postgresql import PostgresEngine
from runwire_server.storage.schema import metadata
from runwire_server.storage.sqlite import SqliteEngine
from runwire_server.storage.stores import open_engine

DATABASES = Path(__file__).parent / "databases"

Facts = dict[str, str]


def sqlite_facts(connection: sa.Connection) -> Facts:
    """Every table and index by its SQL, without layout and the order of constraints."""
    query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND tbl_name <> 'alembic_version'"
    found = {name: " ".join(sql.split()) for name, sql in connection.exec_driver_sql(query)}
    for name, sql in found.items():
        if sql.startswith("CREATE TABLE"):
            columns, *constraints = re.split(
                r", (?=PRIMARY|FOREIGN|CONSTRAINT|UNIQUE)", sql.replace(" )", ")")
            )
            ends = {part.partition("))")[2] for part in constraints}
            found[name] = "; ".join(
                [columns, *sorted(p.partition("))")[0].rstrip(")") for p in constraints), *sorted(ends)]
            )
    return found


def postgres_facts(connection: sa.Connection) -> Facts:
    """Every column, constraint and index as PostgreSQL prints it."""
    columns = """SELECT table_name || '.' || column_name,
        concat_ws(' ', data_type, collation_name, is_nullable, column_default)
        FROM information_schema.columns WHERE table_schema = 'public'"""
    constraints = """SELECT conrelid::regclass || ' ' || conname, pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace"""
    indexes = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
    facts = {
        str(name): str(fact)
        for query in (columns, constraints, indexes)
        for name, fact in connection.exec_driver_sql(query)
    }
    return {name: fact for name, fact in facts.items() if "alembic_version" not in name + fact}


async def facts_of(engine: Engine, facts: Unit[Facts], make: Callable[[sa.Connection], object]) -> Facts:
    try:
        await engine.write(make)
        return await engine.read(facts)
    finally:
        await engine.close()


async def test_sqlite(tmp_path: Path) -> None:
    migrated = await facts_of(await open_engine(tmp_path / "a.db"), sqlite_facts, lambda c: None)
    engine = await SqliteEngine.open(tmp_path / "b.db", check)
    declared = await facts_of(engine, sqlite_facts, metadata.create_all)
    assert migrated == declared


async def test_postgresql(postgres: Postgres) -> None:
    migrated = await facts_of(
        await open_engine(await postgres.create_database()), postgres_facts, lambda c: None
    )
    engine = await PostgresEngine.open(await postgres.create_database())
    declared = await facts_of(engine, postgres_facts, metadata.create_all)
    assert migrated == declared


async def test_text_on_postgresql_is_compared_byte_by_byte(postgres: Postgres) -> None:
    """Said for each column: the locale of these tests' database is one that would hide a missing word."""
    facts = await facts_of(
        await open_engine(await postgres.create_database()), postgres_facts, lambda c: None
    )
    texts = {name: fact.split() for name, fact in facts.items() if fact.startswith("text ")}
    assert "params.value" in texts
    assert {name for name, words in texts.items() if words[1] != "C"} == set()


def load(dump: Path, path: Path) -> Path:
    """Makes a database of a dump."""
    with contextlib.closing(sqlite3.connect(path)) as raw:
        raw.executescript(dump.read_text())
    return path


@pytest.mark.parametrize("dump", sorted(DATABASES.glob("*.sql")), ids=lambda path: path.stem)
async def test_a_released_migration_still_makes_what_it_made(dump: Path, tmp_path: Path) -> None:
    def upgrade_to_it(connection: sa.Connection) -> None:
        config = Config()
        config.set_main_option("script_location", "runwire_server:storage/migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, dump.stem)

    old = await SqliteEngine.open(load(dump, tmp_path / "old.db"), check)
    made = await SqliteEngine.open(tmp_path / "new.db", check)
    assert await facts_of(old, sqlite_facts, lambda c: None) == await facts_of(
        made, sqlite_facts, upgrade_to_it
    )
