"""The store's figures, by both clients and the command, from a real server."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from tests.client.reading import fill, new_run, said


def test_the_stores_figures(client: Any) -> None:
    run = new_run(client)
    before = client.storage_stats().points
    fill(client, run, np.arange(1000.0))
    stats = client.storage_stats()
    assert stats.points == before + 1000
    assert {part.name for part in stats.parts} == {"log", "stripes", "chunks", "groups", "summaries"}
    assert stats.database_bytes > 0


def test_the_command_shows_the_stores_figures(server: Any, client: Any) -> None:
    fill(client, new_run(client), np.arange(1000.0))
    shown = said(server, "db", "stats")
    assert shown.split()[:4] == ["part", "rows", "points", "bytes"]
    assert "summaries" in shown
    found = json.loads(said(server, "db", "stats", "--json"))
    assert found["points"] >= 1000
