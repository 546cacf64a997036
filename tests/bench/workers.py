"""Client processes that do a piece of work together, once.

A *work* is a generator function of an address and further arguments. It prepares itself, yields once, does
what is timed, and returns a dict of numbers. All processes have prepared before any of them goes on.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

# A process that says nothing for so long has hung.
PATIENCE = 900.0


class WorkFailed(Exception):
    """A client process failed; the text is its traceback."""


@dataclass(frozen=True)
class Work:
    """A piece of work for one process.

    Attributes:
        module: Where the generator function is, in `tests.bench`.
        name: Its name.
        address: Of the server.
        arguments: Its further arguments.
        environment: What to set in the process.
    """

    module: str
    name: str
    address: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


def together(works: Sequence[Work], during: threading.Event | None = None) -> list[dict[str, float]]:
    """Has processes do works at the same time.

    Args:
        works: One for each process.
        during: Set when all of them are told to go on.

    Returns:
        What each of them returned.

    Raises:
        WorkFailed: with the traceback of the first that failed.
    """
    # Not forked: neither gRPC nor a fair start survives a fork.
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    try:
        for work in works:
            ours, theirs = context.Pipe()
            process = context.Process(target=_do, args=(work, theirs), daemon=True)
            process.start()
            theirs.close()
            pipes.append(ours)
            processes.append(process)
        for pipe in pipes:
            _answer(pipe)
        for pipe in pipes:
            pipe.send(None)
        if during is not None:
            during.set()
        return [_answer(pipe) for pipe in pipes]
    finally:
        for pipe in pipes:
            pipe.close()
        for process in processes:
            process.join(20)
            process.kill()
            process.join()


def alone(work: Work) -> dict[str, float]:
    """Has one process do a work; raises as `together` does."""
    return together([work])[0]


def _answer(pipe: Connection) -> dict[str, float]:
    if not pipe.poll(PATIENCE):
        raise WorkFailed("a client process hangs")
    try:
        failure, result = pipe.recv()
    except EOFError:
        raise WorkFailed("a client process died") from None
    if failure:
        raise WorkFailed(failure)
    return dict(result)


def _do(work: Work, pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(work.environment)
    answer: tuple[str, Mapping[str, float]] = ("", {})
    try:
        function = getattr(importlib.import_module(f"tests.bench.{work.module}"), work.name)
        with closing(function(work.address, **work.arguments)) as steps:
            next(steps)
            pipe.send(("", {}))
            pipe.recv()
            try:
                next(steps)
            except StopIteration as end:
                answer = ("", end.value)
    except EOFError:
        return
    except Exception:
        answer = (traceback.format_exc(), {})
    pipe.send(answer)
