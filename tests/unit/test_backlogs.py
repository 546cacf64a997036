"""The account of what waits to be compacted."""

from __future__ import annotations

import pytest

from runwire_server.domain.compaction import Backlog
from runwire_server.metrics import backlogs
from runwire_server.metrics.backlogs import DUE_BYTES, DUE_ROWS, DUE_STEPS, QUIET_SECONDS, Backlogs


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def account(clock: Clock) -> Backlogs:
    return Backlogs(clock)


@pytest.mark.parametrize("half", [(DUE_ROWS // 2, 0, 0), (0, DUE_STEPS // 2, 0), (0, 0, DUE_BYTES // 2)])
def test_a_run_is_due_when_enough_has_come(account: Backlogs, half: tuple[int, int, int]) -> None:
    assert not account.add(Backlog(1, *half))
    assert account.take() is None
    assert account.add(Backlog(1, *half))
    taken = account.take()
    assert taken is not None
    assert (taken.rows, taken.steps, taken.bytes) == tuple(2 * n for n in half)
    assert not taken.ended
    assert account.take() is None
    assert (account.bytes, account.due_bytes) == (0, 0)


def test_a_run_is_due_when_it_has_ended_or_is_quiet_unless_it_is_tiny(
    account: Backlogs, clock: Clock
) -> None:
    assert account.add(Backlog(1, 64, 64, 100, ended=True))
    assert not account.add(Backlog(2, 1, 1, 100, ended=True))
    account.add(Backlog(3, 64, 64, 100))
    account.add(Backlog(4, 1, 1, 100))
    clock.now = QUIET_SECONDS
    account.add(Backlog(5, 64, 64, 100))
    account.look()
    found = [account.take(), account.take(), account.take()]
    assert {backlog.run for backlog in found[:2] if backlog} == {1, 3}
    assert all(backlog.ended for backlog in found[:2] if backlog)
    assert found[2] is None
    # That of the quiet tiny one, and of the one that is not quiet.
    assert account.bytes == 200


def test_the_largest_comes_first(account: Backlogs) -> None:
    for run, size in ((1, 1), (2, 3), (3, 2)):
        account.add(Backlog(run, 0, 0, size * DUE_BYTES))
    assert account.due_bytes == 6 * DUE_BYTES
    order = [account.take() for _ in range(3)]
    assert [backlog.run for backlog in order if backlog] == [2, 3, 1]


def test_what_comes_while_a_run_is_compacted_is_not_forgotten(account: Backlogs) -> None:
    account.add(Backlog(1, 0, DUE_STEPS, 0))
    assert account.take() is not None
    account.add(Backlog(1, 5, 50, 500))
    account.set_left(Backlog(1, 3, 70, 700))
    assert account.bytes == 700
    account.add(Backlog(1, 0, DUE_STEPS, 0))
    taken = account.take()
    assert taken is not None
    assert (taken.rows, taken.steps) == (5, DUE_STEPS + 70)


def test_of_too_many_runs_the_quiet_tiny_ones_are_dropped(
    account: Backlogs, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlogs, "MOST_RUNS", 2)
    for run in range(5):
        account.add(Backlog(run, 1, 1, 1))
    clock.now = QUIET_SECONDS
    account.look()
    assert account.bytes == 2
