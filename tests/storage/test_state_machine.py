"""Any sequence of calls, restarts and kills leaves a storage as it leaves a model in plain Python."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.storage.subjects import PostgresDatabase, Remote, SqliteFile, Subject
from tests.support.messages import (
    QUIET_NAN,
    as_dict,
    column,
    find,
    get_experiment,
    get_run,
    history,
    log,
    params_of,
    tags_of,
    timestamp,
)
from tests.support.model import Model, Refused, Run, differences
from tests.support.postgres import Postgres

from runwire.v1 import experiment_pb2, run_pb2, server_pb2
from runwire_server.errors import RunwireError

EXPERIMENT_NAMES = ["wine", "Wine", "beer"]
RUNS = 5
KEYS = ["a", "A"]
VALUES = [1.0, 2.0, -0.0, float("inf"), QUIET_NAN]

# Texts of filters and orders, and what they mean.
FILTERS: dict[str, Callable[[Run], bool]] = {
    "": lambda r: True,
    "params.a = 'x'": lambda r: r.params.get("a") == "x",
    "params.a != 'x'": lambda r: "a" in r.params and r.params["a"] != "x",
    "NOT tags.a = 'x'": lambda r: r.tags.get("a") != "x",
    "tags.A LIKE 'X%'": lambda r: r.tags.get("A", "").startswith("X"),
    "metrics.a >= 1": lambda r: (r.latest("a") or 0) >= 1,
    "metrics.a.count = 1 OR metrics.A = 2": lambda r: len(r.points.get("a", ())) == 1 or r.latest("A") == 2,
    "status = 'FINISHED' AND params.A IS NULL": lambda r: (
        r.status == run_pb2.RUN_STATUS_FINISHED and "A" not in r.params
    ),
    "run_name = 'n1'": lambda r: r.name == "n1",
    "start_time > 1": lambda r: r.start > 1,
}
ORDERS: dict[tuple[str, ...], list[tuple[Callable[[Run], Any], bool]]] = {
    (): [],
    ("metrics.a",): [(lambda r: r.latest("a"), False)],
    ("metrics.a DESC", "params.a"): [(lambda r: r.latest("a"), True), (lambda r: r.params.get("a"), False)],
    ("tags.a DESC",): [(lambda r: r.tags.get("a"), True)],
    ("run_name", "end_time DESC"): [(lambda r: r.name, False), (lambda r: r.end, True)],
    ("start_time", "run_id DESC"): [(lambda r: r.start, False), (lambda r: r.run_id, True)],
}
VIEWS = [
    experiment_pb2.LIFECYCLE_VIEW_ACTIVE_ONLY,
    experiment_pb2.LIFECYCLE_VIEW_DELETED_ONLY,
    experiment_pb2.LIFECYCLE_VIEW_ALL,
]

texts = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(["x", "X", ""]), max_size=2)
points = st.lists(
    # Few steps and times, so that many points tie.
    st.tuples(
        st.sampled_from(KEYS), st.sampled_from([1, 0]), st.sampled_from([1, 2]), st.sampled_from(VALUES)
    ),
    min_size=1,
    max_size=4,
)
# Which of the experiments that were ever made, and one that was not; they grow as the test runs.
some_experiment = st.integers(0, 2)
some_run = st.integers(0, RUNS - 1)

# Makes run ids that no example before has used: ids stay taken for ever.
examples = itertools.count()


class Machine(RuleBasedStateMachine):
    """Does each step to the storage and to the model, and compares."""

    def __init__(self, subject: Subject, runner: asyncio.Runner) -> None:
        super().__init__()
        self.subject = subject
        self.runner = runner
        self.runner.run(subject.reset())
        self.model = Model()
        self.experiment_ids = ["0"]
        self.lives = subject.lives
        self.example = next(examples)
        self.requests = itertools.count()
        self.searches = itertools.count()
        # The last mutation that had a request id: its call and its answer.
        self.last: tuple[Callable[[], Awaitable[Any]], Any] | None = None

    @property
    def stores(self) -> Any:
        return self.subject.stores

    def run_id(self, number: int) -> str:
        return f"{self.example:020x}{number:012x}"

    def request_id(self) -> str:
        return f"{self.example}-{next(self.requests)}"

    def experiment(self, number: int) -> str:
        return self.experiment_ids[number] if number < len(self.experiment_ids) else str(10**9 + number)

    def both(self, expected: Callable[[], Any], call: Callable[[], Awaitable[Any]]) -> tuple[Any, Any]:
        """Does a step; returns what model and storage gave, which is None for both if it was refused."""
        expected_refusal, refusal, found, given = "", "", None, None
        try:
            given = expected()
        except Refused as error:
            expected_refusal = error.reason
        try:
            found = self.runner.run(self._awaited(call))
            self.last = (call, found)
        except RunwireError as error:
            refusal = error.reason
        assert refusal == expected_refusal
        return given, found

    @staticmethod
    async def _awaited(call: Callable[[], Awaitable[Any]]) -> Any:
        return await call()

    @initialize(first_search=st.integers(0, 5_000))
    def begin_with_something(self, first_search: int) -> None:
        self.searches = itertools.count(first_search)
        self.create_experiment(EXPERIMENT_NAMES[0])
        for number in range(RUNS - 2):
            self.create_run(number, number % 2, "n1", 1, {"a": "x"}, False)
        self.log_batch(0, [("a", 1, 1, 1.0), ("A", 1, 1, QUIET_NAN)], {"A": ""}, {"a": "x"})

    @rule(name=st.sampled_from(EXPERIMENT_NAMES))
    def create_experiment(self, name: str) -> None:
        request = experiment_pb2.CreateExperimentRequest(name=name, request_id=self.request_id())
        made, answer = self.both(
            lambda: self.model.create_experiment(name), lambda: self.stores.experiments.create(request)
        )
        if made:
            made(answer.experiment.experiment_id)
            self.experiment_ids.append(answer.experiment.experiment_id)

    @rule(number=some_experiment, tags=texts, key=st.sampled_from(KEYS))
    def change_experiment_tags(self, number: int, tags: dict[str, str], key: str) -> None:
        """Sets tags; if there are none to set, deletes one."""
        fields = {"experiment_id": self.experiment(number), "request_id": self.request_id()}
        if not tags:
            delete = experiment_pb2.DeleteExperimentTagRequest(key=key, **fields)
            self.both(
                lambda: self.model.delete_tag(self.model.writable_experiment(delete.experiment_id), key),
                lambda: self.stores.experiments.delete_tag(delete),
            )
        elif number:
            # The tags of Default would outlive the example.
            request = experiment_pb2.SetExperimentTagsRequest(tags=tags_of(tags), **fields)
            self.both(
                lambda: self.model.writable_experiment(request.experiment_id).tags.update(tags),
                lambda: self.stores.experiments.set_tags(request),
            )

    @rule(number=some_experiment, deleted=st.booleans())
    def delete_or_restore_experiment(self, number: int, deleted: bool) -> None:
        fields = {"experiment_id": self.experiment(number), "request_id": self.request_id()}
        self.both(
            lambda: self.model.delete_experiment(fields["experiment_id"], deleted),
            lambda: (
                self.stores.experiments.delete(experiment_pb2.DeleteExperimentRequest(**fields))
                if deleted
                else self.stores.experiments.restore(experiment_pb2.RestoreExperimentRequest(**fields))
            ),
        )

    @rule(
        number=some_run,
        experiment=some_experiment,
        name=st.sampled_from(["n1", "n2"]),
        start=st.sampled_from([1, 2]),
        params=texts,
        allow_existing=st.booleans(),
    )
    def create_run(
        self,
        number: int,
        experiment: int,
        name: str,
        start: int,
        params: dict[str, str],
        allow_existing: bool,
    ) -> None:
        run_id, experiment_id = self.run_id(number), self.experiment(experiment)
        request = run_pb2.CreateRunRequest(
            run_id=run_id,
            experiment_id=experiment_id,
            name=name,
            start_time=timestamp(start),
            params=params_of(params),
            allow_existing=allow_existing,
            request_id=self.request_id(),
        )
        # The order in which params were sent is part of the payload.
        payload = (experiment_id, name, start, tuple(params.items()))
        self.both(
            lambda: self.model.create_run(run_id, payload, allow_existing),
            lambda: self.stores.runs.create(request),
        )

    # Three rules for what matters most: each is as likely as any other.
    @rule(number=some_run, sent=points)
    def log_points(self, number: int, sent: Any) -> None:
        self.log_batch(number, sent, {}, {})

    @rule(number=some_run, params=texts, tags=texts)
    def log_values(self, number: int, params: dict[str, str], tags: dict[str, str]) -> None:
        self.log_batch(number, [], params, tags)

    @rule(number=some_run, sent=points, params=texts, tags=texts)
    def log_batch(self, number: int, sent: Any, params: dict[str, str], tags: dict[str, str]) -> None:
        run_id, request_id = self.run_id(number), self.request_id()
        self.both(
            lambda: self.model.log(run_id, sent, params, tags),
            lambda: log(
                self.stores, run_id, *blocks_of(sent), params=params, tags=tags, request_id=request_id
            ),
        )

    @rule(number=some_run, tags=texts, key=st.sampled_from(KEYS), end=st.sampled_from([0, 5, 6]))
    def change_run(self, number: int, tags: dict[str, str], key: str, end: int) -> None:
        """Finishes a run, sets tags or deletes one."""
        fields = {"run_id": self.run_id(number), "request_id": self.request_id()}

        def finished() -> None:
            run = self.model.writable_run(fields["run_id"])
            run.status, run.end = run_pb2.RUN_STATUS_FINISHED, end

        if end:
            finish = run_pb2.FinishRunRequest(end_time=timestamp(end), **fields)
            self.both(finished, lambda: self.stores.runs.finish(finish))
        elif tags:
            request = run_pb2.SetRunTagsRequest(tags=tags_of(tags), **fields)
            self.both(
                lambda: self.model.writable_run(request.run_id).tags.update(tags),
                lambda: self.stores.runs.set_tags(request),
            )
        else:
            delete = run_pb2.DeleteRunTagRequest(key=key, **fields)
            self.both(
                lambda: self.model.delete_tag(self.model.writable_run(delete.run_id), key),
                lambda: self.stores.runs.delete_tag(delete),
            )

    @rule(number=some_run, deleted=st.booleans())
    def delete_or_restore_run(self, number: int, deleted: bool) -> None:
        fields = {"run_id": self.run_id(number), "request_id": self.request_id()}

        def expected() -> None:
            self.model.existing_run(fields["run_id"]).deleted = deleted

        self.both(
            expected,
            lambda: (
                self.stores.runs.delete(run_pb2.DeleteRunRequest(**fields))
                if deleted
                else self.stores.runs.restore(run_pb2.RestoreRunRequest(**fields))
            ),
        )

    @precondition(lambda self: self.model.has_deleted())
    @rule()
    def purge(self) -> None:
        request = server_pb2.PurgeRequest(request_id=self.request_id())
        counts, answer = self.both(self.model.purge, lambda: self.stores.maintenance.purge(request))
        assert (answer.runs, answer.experiments) == counts

    @precondition(lambda self: self.last is not None)
    @rule()
    def repeat_the_last_mutation(self) -> None:
        call, answer = self.last
        assert self.runner.run(self._awaited(call)) == answer

    @invariant()
    def searches_find_the_same(self) -> None:
        """Tries two of the many searches after each step, others each time."""
        ids = [e for e in self.experiment_ids if e in self.model.experiments]
        for _ in range(2):
            n = next(self.searches)
            text = list(FILTERS)[n % len(FILTERS)]
            order = list(ORDERS)[n // 3 % len(ORDERS)]
            view, size = VIEWS[n // 7 % 3], (1, 2, 3, 100)[n // 11 % 4]
            some = ids[n // 13 % len(ids) :]
            expected = self.model.search(some, FILTERS[text], ORDERS[order], view)
            found = find(self.stores, *some, filter=text, order_by=order, view=view, page_size=size)
            assert self.runner.run(found) == expected, (text, order, view, size, some)

    @precondition(lambda self: self.lives)
    @rule()
    def restart(self) -> None:
        self.lives -= 1
        self.runner.run(self.subject.restart())

    @precondition(lambda self: self.lives)
    @rule(number=some_run, sent=points, tags=texts)
    def kill_while_it_writes(self, number: int, sent: Any, tags: dict[str, str]) -> None:
        """The caller, who got no answer, asks again with the same id."""
        self.lives -= 1
        run_id, request_id = self.run_id(number), self.request_id()

        async def call() -> Any:
            return await log(self.stores, run_id, *blocks_of(sent), tags=tags, request_id=request_id)

        self.runner.run(self.subject.kill(call()))
        self.both(lambda: self.model.log(run_id, sent, {}, tags), call)

    def teardown(self) -> None:
        """Compares everything, after a last kill."""
        if self.subject.lives:
            self.kill_while_it_writes(0, [("a", 1, 1, 2.0)], {"a": "X"})
        self.runner.run(self.compare())

    async def compare(self) -> None:
        for experiment_id in self.experiment_ids:
            if experiment_id in self.model.experiments:
                found = await get_experiment(self.stores, experiment_id)
                expected = self.model.experiments[experiment_id]
                assert (found.name, as_dict(found.tags)) == (
                    expected.name,
                    dict(sorted(expected.tags.items())),
                )
                deleted = found.lifecycle_stage == experiment_pb2.LIFECYCLE_STAGE_DELETED
                assert deleted == expected.deleted
            else:
                with pytest.raises(RunwireError, match="no experiment"):
                    await get_experiment(self.stores, experiment_id)
        for run_id, run in self.model.runs.items():
            found_run = await get_run(self.stores, run_id)
            assert differences(run, self.model.shown_deleted(run), found_run) == {}
            assert (await history(self.stores, run_id)).get(run_id, {}) == run.history()
        for run_id in self.model.purged:
            with pytest.raises(RunwireError, match="no run"):
                await get_run(self.stores, run_id)


def blocks_of(sent: Any) -> list[Any]:
    """One block for each point: arrival is the order of the list."""
    return [column(key, (step, value), times=[time]) for key, step, time, value in sent]


@pytest.fixture
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    """A storage by the name of its kind."""
    if request.param == "postgresql":
        # Its own, since it is killed.
        postgres = Postgres()
        postgres.start()
        yield PostgresDatabase(tmp_path, postgres)
        postgres.close()
    else:
        yield {"memory": Subject, "sqlite": SqliteFile, "grpc": Remote}[request.param](tmp_path)


@pytest.mark.parametrize(
    ("subject", "count"),
    [("memory", 30), ("sqlite", 30), ("postgresql", 12), ("grpc", 8)],
    indirect=["subject"],
    ids=["memory", "sqlite", "postgresql", "grpc"],
)
def test_a_storage_behaves_like_the_model(subject: Subject, count: int) -> None:
    with asyncio.Runner() as runner:
        try:
            run_state_machine_as_test(
                lambda: Machine(subject, runner),
                settings=settings(
                    max_examples=count,
                    stateful_step_count=30,
                    derandomize=True,
                    database=None,
                    # To make a failure small takes a while: where nothing has to be killed for it.
                    phases=[Phase.generate] if subject.lives else [Phase.generate, Phase.shrink],
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(subject.close())
