"""Long histories: others are answered while one is put in order."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from tests.support.messages import history, new_run, point

from runwire.v1 import run_pb2
from runwire_server.domain.blocks import Points
from runwire_server.domain.histories import Columns
from runwire_server.storage.base import Stores


@pytest.mark.parametrize(("keys", "rows"), [(5_000, 3), (2, 8_000)])
async def test_a_long_history_is_put_in_order_beside_the_event_loop(
    stores: Stores, keys: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers: set[threading.Thread] = set()
    blocks = Columns.blocks

    def seen(columns: Columns) -> Iterator[Points]:
        for block in blocks(columns):
            workers.add(threading.current_thread())
            yield block

    monkeypatch.setattr(Columns, "blocks", seen)
    run = (await new_run(stores)).run_id
    # Backwards, so that there is something to put in order.
    steps = np.arange(rows)[::-1].copy()
    names = [f"k{i:04}" for i in range(keys)]
    for part in np.array_split(np.arange(rows), 3):
        values = steps[part][:, None] + np.arange(keys) / 10_000
        sent = [Points.of(names, steps[part], steps[part] + 1_000, values)]
        await stores.runs.log_batch(run_pb2.LogBatchRequest(run_id=run), sent)
    found = (await history(stores, run))[run]
    assert list(found) == names
    for k in (0, keys // 2, keys - 1):
        assert found[names[k]] == [point(step, step + k / 10_000) for step in range(rows)]
    assert threading.main_thread() not in workers
