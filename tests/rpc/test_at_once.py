"""Many callers that want the same thing at once: exactly one gets it, or all get the one."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Barrier
from typing import Any

import grpc
import pytest
from tests.rpc.asking import Api, Failure, column, failure_of, fresh
from tests.support.server import ServerProcess

from runwire.v1 import experiment_pb2 as experiments
from runwire.v1 import run_pb2 as runs

ROOT = Path(__file__).parents[2]
PROCESSES, CHANNELS = 8, 7
CALLERS = 50


@contextmanager
def callers(address: str, count: int) -> Iterator[list[Api]]:
    """Opens channels, each with a connection of its own."""
    with ExitStack() as stack:
        options = (("grpc.use_local_subchannel_pool", 1),)
        channels = [stack.enter_context(grpc.insecure_channel(address, options)) for _ in range(count)]
        for channel in channels:
            grpc.channel_ready_future(channel).result(120)
        yield [Api(channel) for channel in channels]


def at_once(address: str, count: int, call: Callable[[Api, int], Any]) -> list[Any]:
    """Makes calls of as many callers at the same moment; a failure is a result, too."""
    barrier = Barrier(count)

    def one(numbered: tuple[int, Api]) -> Any:
        number, api = numbered
        barrier.wait(120)
        try:
            return call(api, number)
        except grpc.RpcError as error:
            return failure_of(error)

    with callers(address, count) as apis, ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, enumerate(apis)))


def reasons(outcomes: Sequence[Any]) -> Counter[str]:
    return Counter(o.reason if isinstance(o, Failure) else "OK" for o in outcomes)


def test_processes_of_one_job_share_a_run(api: Api, any_server: ServerProcess) -> None:
    run_id = uuid.uuid4().hex
    command = [sys.executable, "-m", "tests.rpc.one_run", any_server.address, run_id, str(CHANNELS)]
    processes = [
        subprocess.Popen(
            [*command, str(i)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for i in range(PROCESSES)
    ]
    try:
        for process in processes:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin
            process.stdin.write("\n")
            process.stdin.flush()
        answers = [process.communicate(timeout=120)[0].split() for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert [process.returncode for process in processes] == [0] * PROCESSES
    run = api.run(run_id)
    # A name is made up for each that asks; all were told the one that counts.
    assert answers == [[run.name] * CHANNELS] * PROCESSES
    assert len(run.tags) == 1


def test_one_payload_is_one_run(api: Api, any_server: ServerProcess) -> None:
    run_id = uuid.uuid4().hex
    request = runs.CreateRunRequest(experiment_id="0", run_id=run_id, name="shared", tags=[{"key": "a"}])
    answers = at_once(any_server.address, CALLERS, lambda caller, _: caller(request).run)
    assert answers == [api.run(run_id)] * CALLERS


def test_different_payloads_without_allow_existing(api: Api, any_server: ServerProcess) -> None:
    run_id = uuid.uuid4().hex

    def create(caller: Api, number: int) -> str:
        request = runs.CreateRunRequest(experiment_id="0", run_id=run_id, name=f"rank {number}")
        return str(caller(request).run.name)

    outcomes = at_once(any_server.address, CALLERS, create)
    assert reasons(outcomes) == {"OK": 1, "RUN_EXISTS": CALLERS - 1}
    assert api.run(run_id).name in outcomes


def test_one_name_is_one_experiment(api: Api, any_server: ServerProcess) -> None:
    name = fresh("wanted")

    def create(caller: Api, number: int) -> str:
        tags = [{"key": "creator", "value": str(number)}]
        request = experiments.CreateExperimentRequest(name=name, tags=tags)
        return str(caller(request).experiment.experiment_id)

    outcomes = at_once(any_server.address, CALLERS, create)
    assert reasons(outcomes) == {"OK": 1, "EXPERIMENT_EXISTS": CALLERS - 1}
    found = api(experiments.GetExperimentRequest(name=name)).experiment
    assert found.experiment_id in outcomes
    assert found.tags[0].value == str(outcomes.index(found.experiment_id))
    failures = [o for o in outcomes if isinstance(o, Failure)]
    assert {f.metadata["experiment_id"] for f in failures} == {found.experiment_id}


def test_one_name_for_two_renamed(api: Api, any_server: ServerProcess) -> None:
    name = fresh("renamed at once")
    ids = [api.new_experiment() for _ in range(10)]

    def rename(caller: Api, number: int) -> Any:
        mask = {"paths": ["name"]}
        return caller(
            experiments.UpdateExperimentRequest(experiment_id=ids[number], name=name, update_mask=mask)
        )

    outcomes = at_once(any_server.address, len(ids), rename)
    assert reasons(outcomes) == {"OK": 1, "EXPERIMENT_EXISTS": len(ids) - 1}
    winner = api(experiments.GetExperimentRequest(name=name)).experiment.experiment_id
    failures = [o for o in outcomes if isinstance(o, Failure)]
    assert {f.metadata["experiment_id"] for f in failures} == {winner}


@pytest.mark.parametrize("same", [True, False], ids=["same", "different"])
def test_one_param(api: Api, any_server: ServerProcess, same: bool) -> None:
    run = api.new_run()

    def log(caller: Api, number: int) -> int:
        value = "value" if same else str(number)
        caller.log(run, column("m", [float(number)]), params=[{"key": "p", "value": value}])
        return number

    outcomes = at_once(any_server.address, 20, log)
    assert reasons(outcomes) == ({"OK": 20} if same else {"OK": 1, "PARAM_IMMUTABLE": 19})
    # The points of those that were refused are not there.
    worked = [float(o) for o in outcomes if not isinstance(o, Failure)]
    (block,) = api.history(run)
    assert sorted(block.block.values) == worked
    assert api.run(run).metrics[0].count == len(worked)


def test_points_of_many_writers_are_all_there(api: Api, any_server: ServerProcess) -> None:
    run = api.new_run()

    def log(caller: Api, number: int) -> None:
        for step in range(10):
            caller.log(run, column("m", [float(number * 10 + step)], first=number))

    at_once(any_server.address, 16, log)
    (block,) = api.history(run)
    assert sorted(block.block.values) == [float(i) for i in range(160)]
    summary = api.run(run).metrics[0]
    assert (summary.count, summary.min_value, summary.max_value) == (160, 0.0, 159.0)


def test_tags_removed_at_once(api: Api, any_server: ServerProcess) -> None:
    run = api.new_run(tags=[{"key": "t"}])
    delete = runs.DeleteRunTagRequest(run_id=run, key="t")
    outcomes = at_once(any_server.address, 10, lambda caller, _: caller(delete))
    assert reasons(outcomes) == {"OK": 1, "TAG_NOT_FOUND": 9}


def test_inputs_logged_at_once(api: Api, any_server: ServerProcess) -> None:
    experiment = api.new_experiment()
    targets = [api.new_run(experiment) for _ in range(5)]

    def log(caller: Api, number: int) -> None:
        inputs = [{"dataset": {"name": "wine", "digest": str(d)}} for d in range(4)]
        caller(runs.LogInputsRequest(run_id=targets[number % 5], inputs=inputs))

    assert reasons(at_once(any_server.address, 20, log)) == {"OK": 20}
    for run in targets:
        assert [i.dataset.digest for i in api.run(run).inputs] == ["0", "1", "2", "3"]
