"""The driver of the Python client; README.md has its protocol.

python -m tests.conformance.python_driver
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, Final

import grpc
from tests.conformance.python_ops import OPS, Args, OwnError
from tests.conformance.python_watch import Watching

import runwire
from runwire import Client, Retry, RunwireError

_OWN: Final = ("connect", "raw", "watch_open", "watch_until", "watch_close")


class Driver:
    """What the driver holds: clients and watches by their names."""

    def __init__(self) -> None:
        """Starts without any."""
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
            return watch.until(args["points"], args.get("timeout", 30))
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
                answers = list(call(iter(requests), metadata=metadata, timeout=30))
            except grpc.RpcError as failed:
                raise runwire.from_rpc_error(failed) from None
        return {"responses": [answer.hex() for answer in answers]}


def _exit(args: Args) -> None:
    how = args.get("how", "normal")
    if how == "hard":
        os._exit(0)
    if how == "exception":
        raise OwnError("asked for")
    raise SystemExit(0)


ALONE: Final[dict[str, Callable[[Args], Any]]] = {
    "exit": _exit,
    "sleep": lambda args: time.sleep(args["seconds"]),
}


def _failure(error: Exception) -> dict[str, Any]:
    if not isinstance(error, RunwireError):
        return {"kind": "argument", "message": str(error)}
    return {
        "kind": "runwire",
        "code": type(error).code,
        "reason": error.reason,
        "metadata": error.metadata,
        "fields": [one.field for one in error.violations],
        "message": str(error),
    }


def _answer(driver: Driver, request: dict[str, Any]) -> dict[str, Any]:
    if not driver.knows(request["op"]):
        return {"unsupported": request["op"]}
    try:
        return {"ok": driver.call(request["op"], request.get("args") or {})}
    except (RunwireError, TypeError, ValueError) as error:
        return {"error": _failure(error)}


def main() -> None:
    """Answers requests until there are no more."""
    said = sys.stdout
    sys.stdout = sys.stderr
    driver = Driver()

    def say(message: dict[str, Any]) -> None:
        said.write(json.dumps(message) + "\n")
        said.flush()

    say({"driver": "python", "version": runwire.__version__, "pid": os.getpid()})
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = _answer(driver, request)
        except OwnError:
            raise
        except Exception:
            traceback.print_exc()
            sys.exit(70)
        say({"id": request["id"], **answer})


if __name__ == "__main__":
    main()
