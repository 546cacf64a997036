"""Plays a case: sends its steps to drivers, servers and proxies, and compares."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import grpc
from clients.vectors.spool_contents import contents
from tests.client.lossy_proxy import LossyProxy
from tests.conformance.cases import Case, dig, expand
from tests.conformance.compare import differences, error_differences
from tests.conformance.drivers import Driver
from tests.conformance.refusing import Refusal, RefusingProxy
from tests.support.server import ServerProcess

from runwire._writer import chained
from runwire.v1 import frame_pb2, metric_pb2, metric_pb2_grpc

_PATIENCE: Final = 60.0
_SYNC: Final = "from runwire.cli import main; main()"
_SIGNALS: Final = {"kill": signal.SIGKILL, "terminate": signal.SIGTERM, "interrupt": signal.SIGINT}
_KINDS: Final = (
    "server",
    "proxy",
    "driver",
    "sync",
    "spool",
    "threads",
    "fence",
    "copy",
    "tear",
    "refuse",
    "calls",
    "waits",
)
_OWN: Final = frozenset({"op", "args", "on", "expect", "error", "save", "send", "timeout", "within", "about"})


def _is_locked(path: Path) -> bool:
    """Tells whether a process has the record lock of a spool, which is all that the JVM sees."""
    with path.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


class StepFailed(AssertionError):
    """A step whose outcome is not what the case says."""


def names(server: ServerProcess, folder: Path) -> dict[str, str]:
    """Says what the names of a case stand for.

    Args:
        server: The case's server.
        folder: The case's folder.

    Returns:
        The names that stand for something before the first step.
    """
    host = server.address.removeprefix("runwires://").removeprefix("runwire://")
    address = host if host.startswith("unix:") else f"runwire://{host}"
    return {
        "address": address,
        "hash": hashlib.sha256(address.encode()).hexdigest()[:16],
        "host": host,
        "folder": str(folder),
        "tests": str(Path(__file__).resolve().parents[1] / "client"),
    }


class Play:
    """One case with one language."""

    def __init__(
        self,
        case: Case,
        language: str,
        driver: Driver,
        server: ServerProcess,
        folder: Path,
        built: Callable[[str], None],
    ) -> None:
        """Takes up a case.

        Args:
            case: The case.
            language: The language under test.
            driver: Its driver.
            server: The server, running.
            folder: A folder of the case's own.
            built: Builds what a language's driver needs.
        """
        self._built = built
        self._case = case
        self._language = language
        self._drivers = {"main": driver}
        self._server = server
        self._folder = folder
        self._open: dict[tuple[str, str], None] = {}
        self._resources: dict[str, tuple[int, int]] = {}
        self._stack = contextlib.ExitStack()
        self._proxy: LossyProxy | None = None
        self._refusing: RefusingProxy | None = None
        self._names: dict[str, Any] = {
            **names(server, folder),
            "case": f"case-{uuid.uuid4().hex[:12]}",
            "language": language,
        }

    def run(self) -> None:
        """Plays it.

        Raises:
            StepFailed: A step had another outcome.
            DriverFailed: A driver ended or hung.
        """
        with self._stack:
            try:
                self._play()
            finally:
                for name, driver in self._drivers.items():
                    if name != "main":
                        driver.stop()

    def _play(self) -> None:
        if self._case.connect is not None:
            given = {"address": "${address}", "spool_dir": "${folder}/spools", **self._case.connect}
            self._op({"op": "connect", "args": given})
        for number, step in enumerate(self._case.steps, 1):
            try:
                self._step(step)
            except StepFailed as failure:
                told = json.dumps(step, ensure_ascii=False)
                raise StepFailed(f"step {number}, {told[:600]}\n  {failure}") from None
        for driver, client in list(self._open):
            answer = self._drivers[driver].ask("close", {"client": client})
            if "error" in answer and not self._case.close_fails:
                raise StepFailed(f"closing what the case left open: {answer['error']}")

    def _step(self, step: dict[str, Any]) -> None:
        if "op" in step:
            self._op(step)
        elif "receive" in step:
            self._receive(step)
        else:
            kind = next(kind for kind in _KINDS if kind in step)
            getattr(self, f"_{kind}_step")(step)

    def _op(self, step: dict[str, Any]) -> None:
        unknown = step.keys() - _OWN
        assert not unknown, f"the step has {unknown}"
        self._start_named(json.dumps(step))
        args = expand(step.get("args", {}), self._names)
        name, op = step.get("on", "main"), step["op"]
        driver = self._drivers[name]
        client = (name, args.get("client", "c"))
        if op == "exit":
            driver.send(op, args)
            self._open = {one: None for one in self._open if one[0] != name}
            return
        if op == "close":
            self._open.pop(client, None)
        if step.get("send"):
            driver.send(op, args)
            return
        start = time.monotonic()
        answer = driver.ask(op, args, step.get("timeout", 90))
        taken = time.monotonic() - start
        if taken > step.get("within", taken):
            raise StepFailed(f"it took {taken:.1f} s: {json.dumps(answer)[:600]}")
        if op == "connect" and "ok" in answer:
            self._open[client] = None
        self._judge(step, answer)

    def _receive(self, step: dict[str, Any]) -> None:
        driver = self._drivers[step.get("on", "main")]
        for _ in range(step["receive"]):
            self._judge(step, driver.receive(step.get("timeout", 90)))

    def _waits_step(self, step: dict[str, Any]) -> None:
        if not self._drivers[step.get("on", "main")].waits(step["waits"]):
            raise StepFailed("it has answered")

    def _judge(self, step: dict[str, Any], answer: dict[str, Any]) -> None:
        if "unsupported" in answer:
            raise StepFailed(f"the driver does not know {answer['unsupported']}")
        if "error" in step:
            if "error" not in answer:
                raise StepFailed(f"no error, but {json.dumps(answer.get('ok'))[:600]}")
            self._fail(error_differences(expand(step["error"], self._names), answer["error"]))
            return
        if "error" in answer:
            raise StepFailed(f"an error: {json.dumps(answer['error'], ensure_ascii=False)[:1500]}")
        self._check(step, answer.get("ok"))

    def _check(self, step: dict[str, Any], found: Any) -> None:
        if "expect" in step:
            self._fail(differences(expand(step["expect"], self._names), found))
        for name, path in step.get("save", {}).items():
            self._names[name] = dig(found, path)

    def _fail(self, found: Any) -> None:
        listed = list(found)
        if listed:
            raise StepFailed("\n  ".join(listed[:20]))

    def _server_step(self, step: dict[str, Any]) -> None:
        server, data = self._server, self._server.data_dir
        copy = data.with_name(f"{data.name}.copy")
        match step["server"]:
            case "kill":
                server.kill()
            case "stop":
                server.stop()
            case "start":
                server.start()
            case "restart":
                server.kill()
                server.start()
            case "freeze":
                server.freeze()
            case "thaw":
                server.thaw()
            case "backup":
                server.stop()
                shutil.copytree(data, copy)
                server.start()
            case "restore":
                server.kill()
                shutil.rmtree(data)
                shutil.copytree(copy, data)
                server.start()
            case "forget":
                server.kill()
                shutil.rmtree(data)
                server.start()
            case other:
                raise ValueError(f"no such step: {other}")

    def _start_proxy(self) -> LossyProxy:
        if self._proxy is None:
            host, _, port = self._server.address.rpartition(":")
            self._proxy = self._stack.enter_context(LossyProxy(host, int(port)).running())
            self._names["proxy"] = self._proxy.address
        return self._proxy

    def _start_named(self, text: str) -> None:
        """Starts the proxies that a step names."""
        if "${proxy}" in text:
            self._start_proxy()
        if "${refusing}" in text and self._refusing is None:
            self._refusing = self._stack.enter_context(RefusingProxy(self._server.address).running())
            self._names["refusing"] = self._refusing.address

    def _refuse_step(self, step: dict[str, Any]) -> None:
        assert self._refusing, "nobody was connected to ${refusing}"
        given = {name: value for name, value in step.items() if name not in ("refuse", "method")}
        refusal = None if step["refuse"] is None else Refusal(step["refuse"], **given)
        self._refusing.refuse(step["method"], refusal)

    def _calls_step(self, step: dict[str, Any]) -> None:
        assert self._refusing, "nobody was connected to ${refusing}"
        deadline = time.monotonic() + step.get("within", 0)
        while True:
            try:
                return self._check(step, self._refusing.calls(step["calls"]))
            except StepFailed:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.05)

    def _proxy_step(self, step: dict[str, Any]) -> None:
        proxy = self._start_proxy()
        match step["proxy"]:
            case "lose":
                proxy.lose_next(step.get("count", 1))
            case "lost":
                if proxy.lost != step["count"]:
                    raise StepFailed(f"{proxy.lost} answers were lost instead of {step['count']}")
            case other:
                raise ValueError(f"no such step: {other}")

    def _driver_step(self, step: dict[str, Any]) -> None:
        name, what = step.get("name", "main"), step["driver"]
        if what == "start":
            language = expand(step.get("language", self._language), self._names)
            environment = expand(step.get("env", {}), self._names)
            self._built(language)
            self._drivers[name] = Driver(language, self._folder / name, environment)
            return
        driver = self._drivers[name]
        self._open = {one: None for one in self._open if one[0] != name}
        if what == "end":
            driver.end()
        elif what in _SIGNALS:
            driver.kill(_SIGNALS[what])
        elif what != "wait":
            raise ValueError(f"no such step: {what}")
        code = driver.wait(step.get("timeout", 90))
        if "code" in step and code != step["code"]:
            raise StepFailed(f"it ended with {code} instead of {step['code']}\n{driver.stderr}")
        if "stderr" in step:
            self._fail(differences({"$match": step["stderr"]}, driver.stderr, "stderr"))

    def _sync_step(self, step: dict[str, Any]) -> None:
        if "by" in step:
            args = {"folder": step["sync"], "address": step.get("address", "${address}")}
            args["as_new_writer"] = step.get("as_new_writer")
            judged = {name: step[name] for name in ("expect", "error") if name in step}
            self._op({"op": "sync", "on": step["by"], "args": args, **judged})
            return
        folder = expand(step["sync"], self._names)
        command = [sys.executable, "-c", _SYNC]
        address = expand(step.get("address", "${address}"), self._names)
        if address is not None:
            command += ["--address", address]
        command += ["sync", "--json", folder]
        if step.get("as_new_writer"):
            command.append("--as-new-writer")
        passed = {key: value for key, value in os.environ.items() if not key.startswith("RUNWIRE_")}
        passed["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False, env=passed)
        if done.returncode != step.get("code", 0):
            raise StepFailed(f"sync ended with {done.returncode}: {done.stdout} {done.stderr}")
        self._check(step, json.loads(done.stdout or "null"))

    def _spools(self, folder: str) -> list[Path]:
        root = Path(expand(folder, self._names))
        return sorted(path for path in root.glob("*") if path.is_dir()) if root.exists() else []

    def _fence_step(self, step: dict[str, Any]) -> None:
        """Opens the writer of the only spool once more, as a copy of it does, and sends frames of its own."""
        (spool,) = self._spools(step["fence"])
        with grpc.insecure_channel(self._names["host"]) as channel:
            stub = metric_pb2_grpc.MetricServiceStub(channel)
            hello = frame_pb2.Hello(writer_id=spool.name)
            request = metric_pb2.AppendFramesRequest(hello=hello)
            welcome = stub.AppendFrames(request, timeout=_PATIENCE).welcome
            crc = welcome.committed_crc
            for number in range(step.get("frames", 0)):
                payload = frame_pb2.FramePayload(records=[frame_pb2.Record()]).SerializeToString()
                frame = frame_pb2.Frame(
                    sequence=welcome.committed_sequence + 1 + number, previous_crc=crc, payload=payload
                )
                crc = chained(crc, payload)
                request = metric_pb2.AppendFramesRequest(
                    writer_id=spool.name, epoch=welcome.epoch, frames=[frame]
                )
                stub.AppendFrames(request, timeout=_PATIENCE)

    def _copy_step(self, step: dict[str, Any]) -> None:
        shutil.copytree(expand(step["copy"], self._names), expand(step["to"], self._names))

    def _tear_step(self, step: dict[str, Any]) -> None:
        """Cuts the end of the last segment of the only spool off."""
        (spool,) = self._spools(step["tear"])
        last = max(spool.glob("*.segment"))
        os.truncate(last, last.stat().st_size - step["bytes"])

    def _spool_step(self, step: dict[str, Any]) -> None:
        root = Path(expand(step["spool"], self._names))
        found = self._spools(step["spool"])
        hidden = [path.name for path in found if path.name.startswith(".")]
        copy = self._folder / f"look-{uuid.uuid4().hex[:8]}"
        shutil.copytree(root, copy) if root.exists() else copy.mkdir()
        spools = [contents(copy / path.name) for path in found if not path.name.startswith(".")]
        modes = sorted({oct(path.stat().st_mode & 0o777) for path in root.rglob("*")})
        seen = {"spools": spools, "hidden": hidden, "modes": modes, "names": [path.name for path in found]}
        seen["locked"] = [_is_locked(path / "lock") for path in found]
        self._check(step, {**seen, "segments": len(list(root.glob("*/*.segment")))})

    def _threads_step(self, step: dict[str, Any]) -> None:
        name = step.get("on", "main")
        now = self._drivers[name].threads_and_files()
        before = self._resources.setdefault(name, now)
        if any(one > other + step["threads"] for one, other in zip(now, before, strict=True)):
            raise StepFailed(f"it has {now} threads and files, and had {before}")
