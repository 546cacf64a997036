"""The newest points of watched runs, told in any order, against the log that they are of."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwire_server.domain.blocks import Points
from runwire_server.metrics import tails
from runwire_server.metrics.tails import Recents, Tail
from runwire_server.storage.appended import Appended


def points(first: int, rows: int, width: int = 1) -> Points:
    """Makes points whose steps are their log positions."""
    steps = np.arange(first, first + rows)
    return Points.of([f"k{n}" for n in range(width)], steps, steps, np.ones((rows, width)))


def appended(first: int, *rows: int) -> Appended:
    """Makes what a commit has added at a position, a block for each number of rows."""
    blocks, at = [], first
    for count in rows:
        blocks.append(points(at, count))
        at += count
    return Appended(1, "r", 1, first, tuple(blocks))


@dataclass
class Told:
    """Commits in their order, and which of them were told of when; the others come from other servers."""

    commits: list[Appended]
    order: list[int]


@st.composite
def histories(draw: st.DrawFn) -> Told:
    commits, at = [], 0
    for rows in draw(st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=3), min_size=1, max_size=12)):
        at += draw(st.sampled_from([0, 0, 0, 2]))
        commits.append(appended(at, *rows))
        at = commits[-1].end
    known = draw(st.lists(st.integers(0, len(commits) - 1), unique=True).map(sorted))
    # Neighbours may be told of the other way round.
    for i in range(len(known) - 1):
        if draw(st.booleans()):
            known[i], known[i + 1] = known[i + 1], known[i]
    return Told(commits, known)


@given(histories(), st.integers(0, 60), st.integers(30, 400))
def test_what_is_kept_is_what_was_committed(told: Told, position: int, room: int) -> None:
    tail, recents = Tail("r"), Recents()
    log = {step: step for one in told.commits for block in one.blocks for step in block.steps.tolist()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tails, "RECENT_BYTES", room)
        for index in told.order:
            recents.add(tail, told.commits[index])
            assert tail.end == max(one.end for one in told.commits if tail.end >= one.end)
            found = tail.since(position)
            if found is None:
                continue
            placed, end = found
            got = [step for block in placed for step in block.points.steps.tolist()]
            assert got == [step for block in placed for step in block.positions.tolist()]
            # All that was committed in between, also what nobody told of.
            assert got == sorted(step for step in log if position <= step < end)
            assert position < end <= tail.end


@given(st.lists(st.integers(1, 9), min_size=1, max_size=60))
def test_the_floor_has_more_behind_it_than_a_watcher_may_have(sizes: list[int]) -> None:
    tail, recents = Tail("r"), Recents()
    sums: dict[int, int] = {0: 0}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tails, "BEHIND_BYTES", 1_000)
        patch.setattr(tails, "_MARK_BYTES", 100)
        total = 0
        for size in sizes:
            one = appended(tail.end, size)
            recents.add(tail, one)
            total += 16 * size + 8 * size + 32
            sums[one.end] = total
            behind = total - sums[tail.floor]
            assert tail.floor == 0 or behind > 1_000
            # It is not far off either.
            assert total - min(s for p, s in sums.items() if p > tail.floor) <= 1_000 + 100 + 9 * 24 + 32


async def test_news_wakes_all_who_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    # No time passes, however long this takes.
    monkeypatch.setattr(tails, "time", SimpleNamespace(monotonic=lambda: 1.0))
    tail, recents = Tail("r"), Recents()
    tail.wakers = {asyncio.Event(), asyncio.Event()}
    recents.add(tail, appended(0, 1))
    assert all(waker.is_set() for waker in tail.wakers)
    for waker in tail.wakers:
        waker.clear()
    tail.advance(1)
    tail.advance(5)
    # Not at once, but soon.
    assert not any(waker.is_set() for waker in tail.wakers)
    async with asyncio.timeout(120):
        for waker in tail.wakers:
            await waker.wait()
    assert tail.since(1) is None


def test_watchers_who_are_as_far_share_what_they_are_sent() -> None:
    tail, recents = Tail("r"), Recents()
    for number in range(10):
        recents.add(tail, appended(number, 1))
    everything = recents.parts(tail, 0, frozenset())
    assert everything is recents.parts(tail, 0, frozenset())
    some = recents.parts(tail, 0, frozenset({"k0"}))
    assert some == everything
    assert recents.parts(tail, 0, frozenset({"other"})) == ([], 10)
    recents.add(tail, appended(10, 1))
    later = recents.parts(tail, 10, frozenset())
    assert later is not None
    assert later[1] == 11


def test_the_oldest_of_all_runs_are_let_go_of_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tails, "RECENT_BYTES", 4 * (24 + 32))
    one, other, recents = Tail("a"), Tail("b"), Recents()
    for number in range(3):
        recents.add(one, appended(number, 1))
    for number in range(3):
        recents.add(other, appended(number, 1))
    assert one.since(1) is None
    assert one.since(2) is not None
    assert other.since(0) is not None
