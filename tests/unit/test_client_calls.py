"""When a call is repeated, and what it sends."""

from __future__ import annotations

import re
import uuid

import pytest

from runwire import errors
from runwire._calls import Attempts, backoff
from runwire._channel import Retry, settings
from runwire._ids import uuid7
from runwire._requests import Mask, Requests

AWAY = errors.ServerUnavailable("Connection refused")
CONFLICT = errors.Aborted("m", reason="STORAGE_CONFLICT")


def attempts(timeout: float = 30.0, *, reached: bool = True, retry: Retry | None = None) -> Attempts:
    """Starts a call at second 100 whose jitter is always the longest."""
    given = settings("runwire://host:1", None, None, 30, retry)
    return Attempts(given, timeout, 100.0, reached=reached, uniform=lambda low, high: high)


def test_pauses_grow_to_their_bound() -> None:
    retry = Retry(initial=0.1, multiplier=2, maximum=1.0)
    assert [backoff(retry, n) for n in (1, 2, 3, 4, 5, 6)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert backoff(retry, 100_000) == 1.0


def test_pauses_are_drawn_from_zero_to_their_bound() -> None:
    drawn: list[tuple[float, float]] = []
    given = settings("h", None, None, 30, None)
    call = Attempts(given, 30, 0.0, reached=True, uniform=lambda low, high: drawn.append((low, high)) or low)
    call.pause(CONFLICT, 0.0)
    call.pause(CONFLICT, 0.0)
    assert drawn == [(0, 0.1), (0, 0.2)]


def test_the_delay_that_a_server_asks_for_comes_on_top() -> None:
    full = errors.ResourceExhausted("m", reason="STORAGE_FULL", retry_delay=5.0)
    assert attempts().pause(full, 100.0) == pytest.approx(5.1)


@pytest.mark.parametrize(
    "error",
    [
        errors.ResourceExhausted("m", reason="MESSAGE_TOO_LARGE"),
        errors.InternalError("m"),
        errors.UnknownError("m"),
        errors.DeadlineExceeded("m"),
        errors.NotFound("m"),
        errors.FailedPrecondition("m"),
    ],
)
def test_what_a_repeat_does_not_help_is_final(error: errors.RunwireError) -> None:
    assert attempts().pause(error, 100.0) is None


def test_no_repeat_starts_without_time_for_its_answer() -> None:
    call = attempts(timeout=1.0)
    assert call.remaining(100.25) == 0.75
    assert call.pause(CONFLICT, 100.79) == 0.1
    assert attempts(timeout=1.0).pause(CONFLICT, 100.81) is None
    assert attempts(timeout=30.0).pause(CONFLICT, 129.79) == 0.1
    assert attempts(timeout=30.0).pause(CONFLICT, 129.81) is None
    soon = errors.Unavailable("m", reason="SERVER_STOPPING", retry_delay=0.02)
    quick = Retry(initial=0.01, maximum=0.01)
    assert attempts(timeout=0.5, retry=quick).pause(soon, 100.41) == pytest.approx(0.03)
    assert attempts(timeout=0.5, retry=quick).pause(soon, 100.43) is None
    waiting = errors.Unavailable("m", reason="SERVER_STOPPING", retry_delay=60.0)
    assert attempts(timeout=1.0).pause(waiting, 100.0) is None


def test_the_number_of_attempts_can_be_bounded() -> None:
    call = attempts(retry=Retry(max_attempts=2))
    assert call.pause(CONFLICT, 100.0) is not None
    assert call.pause(CONFLICT, 100.0) is None


def test_a_server_never_reached_is_given_up_after_the_window() -> None:
    call = attempts(reached=False, retry=Retry(connect_timeout=3.0))
    assert call.pause(AWAY, 100.0) == 0.1
    # The last attempt lies at the end of the window.
    assert call.pause(AWAY, 102.9) == pytest.approx(0.1)
    assert call.pause(AWAY, 103.0) is None
    # Where the one before took longer than that, behind it.
    slow = attempts(reached=False, retry=Retry(connect_timeout=3.0))
    assert slow.pause(AWAY, 108.0) == 0.25
    assert slow.pause(AWAY, 108.3) is None
    # Or where it still has time for an answer.
    short = attempts(timeout=1.0, reached=False, retry=Retry(connect_timeout=3.0))
    assert short.pause(AWAY, 100.85) == pytest.approx(0.05)
    assert short.pause(AWAY, 100.9) is None


def test_a_server_once_reached_is_waited_for_until_the_deadline() -> None:
    call = attempts(reached=True)
    assert call.pause(AWAY, 110.0) is not None
    fresh = attempts(reached=False)
    fresh.pause(CONFLICT, 100.0)  # an answer
    assert fresh.pause(AWAY, 110.0) is not None


def test_the_message_says_where_and_what_to_do() -> None:
    call = attempts(reached=False)
    call.pause(AWAY, 103.0)
    error = call.final(AWAY, 103.0)
    assert isinstance(error, errors.ServerUnavailable)
    assert "runwire://host:1 (1 attempt in 3.0 s)" in str(error)
    assert "`runwire server`" in str(error)
    assert "\n" not in str(error)
    assert error.metadata == {"address": "runwire://host:1"}
    assert call.final(CONFLICT, 103.0) is CONFLICT
    late = call.final(errors.DeadlineExceeded("Deadline Exceeded"), 103.5)
    assert isinstance(late, errors.DeadlineExceeded)
    assert "no answer from runwire://host:1 in 3.5 s" in str(late)
    assert "`runwire server`" in str(late)
    said = errors.DeadlineExceeded("the server gave up", reason="DEADLINE")
    assert call.final(said, 103.5) is said


def test_uuid7_is_a_uuid_of_version_7_in_order_of_time() -> None:
    ids = [uuid7() for _ in range(100)]
    assert all(one.version == 7 and one.variant == uuid.RFC_4122 for one in ids)
    assert len(set(ids)) == 100
    stamps = [one.int >> 80 for one in ids]
    assert stamps == sorted(stamps)


def test_every_mutation_carries_a_request_id_of_its_own() -> None:
    requests = Requests()
    calls = [
        requests.create_experiment("n", None),
        requests.rename_experiment("1", "n"),
        requests.delete_experiment("1"),
        requests.restore_experiment("1"),
        requests.set_experiment_tags("1", {"a": "b"}),
        requests.delete_experiment_tag("1", "a"),
        requests.create_run("0"),
        requests.update_run("r", "RUNNING", None),
        requests.finish_run("r", None, None),
        requests.delete_run("r"),
        requests.restore_run("r"),
        requests.log_batch("r", {"a": 1}, None, None),
        requests.set_run_tags("r", {"a": "b"}),
        requests.delete_run_tag("r", "a"),
        requests.log_inputs("r", []),
        requests.purge(0),
    ]
    ids = [call.request.request_id for call in calls]  # type: ignore[attr-defined]
    assert len(set(ids)) == len(calls)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", one) for one in ids)


def test_a_run_gets_its_id_and_start_from_the_client() -> None:
    requests = Requests(now=lambda: 1_500, new_id=lambda: uuid.UUID(int=7))
    request = requests.create_run("0").request
    assert request.run_id == f"{7:032x}"  # type: ignore[attr-defined]
    assert request.start_time.ToMilliseconds() == 1_500  # type: ignore[attr-defined]


def test_an_update_changes_what_is_given() -> None:
    request = Requests().update_run("r", None, "n").request
    assert list(request.update_mask.paths) == ["name"]  # type: ignore[attr-defined]


def test_an_unknown_status_is_refused() -> None:
    with pytest.raises(ValueError, match="RUNNING, SCHEDULED, FINISHED, FAILED, KILLED"):
        Requests().finish_run("r", "DONE", None)


def test_a_mask_without_parts_is_none() -> None:
    assert Mask().message() is None
    asked = Mask(fields=["name"], metric_keys=["loss"]).message()
    assert asked is not None
    assert list(asked.fields.paths) == ["name"]
    assert list(asked.metric_keys) == ["loss"]
