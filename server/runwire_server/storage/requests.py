"""Idempotency keys: a repeated request gets its first answer."""

from __future__ import annotations

import hashlib
from typing import Any, TypeVar

import sqlalchemy as sa
from google.protobuf.message import Message
from sqlalchemy import bindparam

from runwire_server.errors import FailedPrecondition
from runwire_server.storage.engine import HotStatement, Unit, insert
from runwire_server.storage.schema import requests

M = TypeVar("M", bound=Message)

KEPT_MS = 24 * 3600 * 1000

_REMEMBER = HotStatement(
    lambda _: (
        insert(requests)
        .values({c.name: bindparam(c.name, type_=c.type) for c in requests.c})
        .on_conflict_do_nothing(index_elements=["request_id"])
    )
)
_FIRST = HotStatement(
    lambda _: sa.select(requests.c.hash, requests.c.response, requests.c.create_time).where(
        requests.c.request_id == bindparam("request_id")
    )
)
_ANSWER = HotStatement(
    lambda _: (
        sa.update(requests)
        .where(requests.c.request_id == bindparam("id"))
        .values(response=bindparam("answer"))
    )
)


def once(request: Any, answer: type[M], unit: Unit[M], now: int) -> Unit[M]:
    """Wraps a unit so that a repeat of its request returns what the first one did.

    The id is inserted before the unit runs: on PostgreSQL a concurrent repeat then waits for the first to
    commit, and reads its answer. A unit that raises takes its id back with it.

    Args:
        request: The request; without a request_id the unit is returned as it is.
        answer: The class of the response, which the unit returns.
        unit: What to do the first time.
        now: Unix milliseconds.
    """
    if not request.request_id:
        return unit
    digest = hashlib.sha256(
        request.DESCRIPTOR.full_name.encode() + request.SerializeToString(deterministic=True)
    )
    row = {"request_id": request.request_id, "hash": digest.digest(), "response": b"", "create_time": now}

    def run(connection: sa.Connection) -> M:
        if not _REMEMBER.count(connection, **row):
            ((known, response, time),) = _FIRST.rows(connection, request_id=request.request_id)
            if time > now - KEPT_MS:
                if bytes(known) != row["hash"]:
                    raise FailedPrecondition(
                        "REQUEST_ID_REUSED",
                        "request_id was used before, with another request",
                        {"request_id": request.request_id},
                    )
                return answer.FromString(bytes(response))
            connection.execute(
                sa.update(requests)
                .where(requests.c.request_id == request.request_id)
                .values(hash=row["hash"], response=b"", create_time=now)
            )
        result = unit(connection)
        data = result.SerializeToString()
        if data:
            _ANSWER.count(connection, id=request.request_id, answer=data)
        return result

    return run
