"""Plays a case: sends its steps to drivers, servers and proxies, and compares."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import signal
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.client.lossy_proxy import LossyProxy
from tests.conformance import spools
from tests.conformance.cases import Case, dig, expand
from tests.conformance.compare import differences, error_differences
from tests.conformance.drivers import CLIENTS, PATIENCE, Driver
from tests.conformance.refusing import Refusal, RefusingProxy
from tests.conformance.stillness import Stillness
from tests.support.server import ServerProcess

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


def _patient(given: dict[str, Any]) -> dict[str, Any]:
    """Gives a client time where the case does not say how much."""
    patient = {"timeout": CLIENTS, "retry": {}, **given}
    if patient["retry"] is not None:
        patient["retry"] = {"connect_timeout": CLIENTS, **patient["retry"]}
    return patient


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
        stillness: Stillness,
    ) -> None:
        """Takes up a case.

        Args:
            case: The case.
            language: The language under test.
            driver: Its driver.
            server: The server, running.
            folder: A folder of the case's own.
            built: Builds what a language's driver needs.
            stillness: Knows when everything stood still.
        """
        self._stillness = stillness
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
        if op == "connect":
            args = _patient(args)
        if op == "close":
            self._open.pop(client, None)
        if step.get("send"):
            driver.send(op, args)
            return
        start = time.monotonic()
        answer = driver.ask(op, args, step.get("timeout", PATIENCE))
        taken = time.monotonic() - start
        if taken > step.get("within", taken):
            raise StepFailed(f"it took {taken:.1f} s: {json.dumps(answer)[:600]}")
        if op == "connect" and "ok" in answer:
            self._open[client] = None
        self._judge(step, answer)

    def _receive(self, step: dict[str, Any]) -> None:
        driver = self._drivers[step.get("on", "main")]
        for _ in range(step["receive"]):
            self._judge(step, driver.receive(step.get("timeout", PATIENCE)))

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
        proxy = self._refusing
        assert proxy, "nobody was connected to ${refusing}"
        self._soon(step.get("within", 0), lambda: self._check(step, proxy.calls(step["calls"])))

    def _soon(self, seconds: float, check: Callable[[], None]) -> None:
        """Checks something until it is as it should be, or the time is over."""
        deadline = time.monotonic() + seconds
        while True:
            late = time.monotonic() > deadline
            try:
                return check()
            except StepFailed:
                if late:
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
        if what == "stand":
            with driver.standing():
                time.sleep(step["seconds"])
                if step.get("thaw"):
                    self._server.thaw()
            return
        self._open = {one: None for one in self._open if one[0] != name}
        if what == "end":
            driver.end()
        elif what in _SIGNALS:
            driver.kill(_SIGNALS[what])
        elif what != "wait":
            raise ValueError(f"no such step: {what}")
        code = driver.wait(step.get("timeout", PATIENCE))
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
        before = self._stillness.times()
        try:
            self._sync(step)
        except StepFailed:
            # The 3 s that it has for its first connection may be over then.
            if self._stillness.times() == before:
                raise
            self._sync_step(step)

    def _sync(self, step: dict[str, Any]) -> None:
        done = spools.sync(
            expand(step["sync"], self._names),
            expand(step.get("address", "${address}"), self._names),
            as_new_writer=step.get("as_new_writer", False),
        )
        if done.returncode != step.get("code", 0):
            raise StepFailed(f"sync ended with {done.returncode}: {done.stdout} {done.stderr}")
        self._check(step, json.loads(done.stdout or "null"))

    def _path(self, text: str) -> Path:
        return Path(expand(text, self._names))

    def _fence_step(self, step: dict[str, Any]) -> None:
        spools.fence(self._path(step["fence"]), self._names["host"], step.get("frames", 0))

    def _copy_step(self, step: dict[str, Any]) -> None:
        shutil.copytree(self._path(step["copy"]), self._path(step["to"]))

    def _tear_step(self, step: dict[str, Any]) -> None:
        spools.tear(self._path(step["tear"]), step["bytes"])

    def _spool_step(self, step: dict[str, Any]) -> None:
        self._check(step, spools.look(self._path(step["spool"]), self._folder))

    def _threads_step(self, step: dict[str, Any]) -> None:
        name = step.get("on", "main")
        before = self._resources.setdefault(name, self._drivers[name].threads_and_files())

        def check() -> None:
            now = self._drivers[name].threads_and_files()
            if any(one > other + step["threads"] for one, other in zip(now, before, strict=True)):
                raise StepFailed(f"it has {now} threads and files, and had {before}")

        # What is closed may need its moment.
        self._soon(10, check)
