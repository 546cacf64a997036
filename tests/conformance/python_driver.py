"""The driver of the Python client; README.md has its protocol.

python -m tests.conformance.python_driver
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any, Final, TextIO

import grpc
from tests.conformance.python_ops import OPS, Args, OwnError, failure, with_run
from tests.conformance.python_watch import Watching

import runwire
from runwire import Client, Retry, RunwireError

_OWN: Final = ("connect", "raw", "with_run", "watch_open", "watch_until", "watch_close")


class Driver:
    """What the driver holds: clients and watches by their names."""

    def __init__(self, stay: Callable[[str], None]) -> None:
        """Starts without any.

        Args:
            stay: Answers requests within a run, whose id it takes.
        """
        self._stay = stay
        self._clients: dict[str, Client] = {}
        self._given: dict[str, Args] = {}
        self._watches: dict[str, Watching] = {}

    def call(self, op: str, args: Args) -> Any:
        """Does an op."""
        args = {name: value for name, value in args.items() if value is not None}
        name = args.pop("client", "c")
        if op == "connect":
            return self._connect(name, args)
        if op in ("watch_until", "watch_close"):
            return self._watched(op, args)
        if op in ALONE:
            return ALONE[op](args)
        if op == "watch_open":
            return self._watch_open(self._clients[name], args)
        if op == "raw":
            return self._raw(name, args)
        if op == "with_run":
            return with_run(self._clients[name], args, self._stay)
        return OPS[op](self._clients[name], args)

    def knows(self, op: str) -> bool:
        """Says whether there is such an op."""
        return op in OPS or op in ALONE or op in _OWN

    def _connect(self, name: str, args: Args) -> Any:
        self._given[name] = dict(args)
        if "retry" in args:
            args["retry"] = Retry(**args["retry"])
        address = args.pop("address", None)
        client = self._clients[name] = Client(address, **args)
        return {"address": client.address, "mode": client.mode}

    def _watched(self, op: str, args: Args) -> Any:
        watch = self._watches[args["watch"]]
        if op == "watch_until":
            return watch.until(args["points"], args.get("timeout", 120))
        watch.close()
        return None

    def _watch_open(self, client: Client, args: Args) -> Any:
        name = args.pop("watch")
        watch = self._watches[name] = Watching(client.watch_metrics(args.pop("run_ids"), **args))
        return {"cursor": watch.cursor}

    def _raw(self, name: str, args: Args) -> Any:
        """Sends serialised requests by a channel of its own, as users of `runwire.v1` do."""
        client, given = self._clients[name], self._given[name]
        metadata = [("authorization", f"Bearer {given['token']}")] if "token" in given else []
        with grpc.insecure_channel(client.address.removeprefix("runwire://")) as channel:
            call = channel.stream_stream(args["method"])
            requests = [bytes.fromhex(one) for one in args["requests"]]
            try:
                answers = list(call(iter(requests), metadata=metadata, timeout=120))
            except grpc.RpcError as failed:
                raise runwire.from_rpc_error(failed) from None
        return {"responses": [answer.hex() for answer in answers]}


def _sleep(args: Args) -> None:
    """Sleeps in short parts: a signal right before a sleep is heard behind it."""
    end = time.monotonic() + args["seconds"]
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, 0.1))


def _exit(args: Args) -> None:
    how = args.get("how", "normal")
    if how == "hard":
        os._exit(0)
    if how == "exception":
        raise OwnError("asked for")
    raise SystemExit(0)


ALONE: Final[dict[str, Callable[[Args], Any]]] = {
    "exit": _exit,
    "sleep": _sleep,
}


def _answer(driver: Driver, request: dict[str, Any]) -> dict[str, Any]:
    if not driver.knows(request["op"]):
        return {"unsupported": request["op"]}
    try:
        return {"ok": driver.call(request["op"], request.get("args") or {})}
    except (RunwireError, TypeError, ValueError) as error:
        return {"error": failure(error)}


def _lines() -> Iterator[bytes]:
    """Reads lines, and waits for them in short parts: a signal right before a wait is heard behind it."""
    held = b""
    while True:
        while b"\n" not in held:
            if select.select([0], [], [], 0.1)[0]:
                more = os.read(0, 1 << 20)
                if not more:
                    return
                held += more
        line, _, held = held.partition(b"\n")
        yield line


class Conversation:
    """Requests and answers, also those within a run."""

    def __init__(self, said: TextIO) -> None:
        """Takes up where to answer."""
        self._said = said
        self._asked = _lines()
        self._driver = Driver(self._stay)
        # The request that is answered next; None where none waits.
        self._id: int | None = None

    def say(self, message: dict[str, Any]) -> None:
        """Writes a line."""
        self._said.write(json.dumps(message) + "\n")
        self._said.flush()

    def serve(self) -> int | None:
        """Answers requests until there are no more, or one leaves the run: that one's id is returned."""
        for line in self._asked:
            request = json.loads(line)
            self._id = request["id"]
            if request["op"] == "leave_run":
                return self._id
            answer = _answer(self._driver, request)
            if self._id is not None:
                self.say({"id": self._id, **answer})
        return None

    def _stay(self, run_id: str) -> None:
        self.say({"id": self._id, "ok": {"run_id": run_id}})
        self._id = self.serve()


def main() -> None:
    """Answers requests until there are no more."""
    conversation = Conversation(sys.stdout)
    sys.stdout = sys.stderr
    conversation.say({"driver": "python", "version": runwire.__version__, "pid": os.getpid()})
    try:
        conversation.serve()
    except OwnError:
        raise
    except Exception:
        traceback.print_exc()
        sys.exit(70)


if __name__ == "__main__":
    main()
