"""A test of the tests: each planted bug is found by one of them."""

from __future__ import annotations

import random
from pathlib import Path

from tests.faults.environments import environment_of
from tests.faults.frame_plan import Plan
from tests.faults.test_failpoints import die_and_go_on
from tests.faults.test_fsync import traced_frames
from tests.faults.test_readers import seen_and_there
from tests.faults.test_wal_cut import killed, problems
from tests.support.frames import new_id


def test_no_fsync_is_seen_in_the_trace(tmp_path: Path) -> None:
    count, careless = traced_frames(tmp_path, environment_of("no_fsync"))
    assert len(careless) == count


def test_no_dedup_is_seen_after_a_commit_without_an_answer(tmp_path: Path) -> None:
    plan = Plan("light", new_id())
    found = die_and_go_on(tmp_path, [], "after-commit:40", plan, environment_of("no_dedup"))
    assert any("there more than once" in problem for problem in found), found


def test_an_ack_before_its_commit_is_seen_in_a_cut_log(tmp_path: Path) -> None:
    left = killed(tmp_path, environment_of("ack_before_commit"))
    cuts = random.Random(7).sample(left.sizes[10:], 10)
    found = [problems(left, tmp_path / f"{number}", size) for number, size in enumerate(cuts)]
    assert any(found)


def test_a_fold_before_its_commit_is_seen_by_readers(tmp_path: Path) -> None:
    seen, there = seen_and_there(tmp_path, environment_of("fold_before_commit"))
    assert seen > there
