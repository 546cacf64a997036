"""Keys, names and texts that break a rule are refused by name; the longest allowed ones are kept whole."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.message import Message
from tests.rpc.asking import Api, column, fresh

from runwire.v1 import experiment_pb2 as experiments
from runwire.v1 import metric_pb2 as metrics
from runwire.v1 import run_pb2 as runs

NEW_RUN = "0f" * 16

BAD_KEYS = [
    "",
    "k" * 251,
    "😀" * 251,
    "a\tb",
    "a\nb",
    "a\0b",
    "a\x7fb",
    "a\x85b",
    "a\u2028b",
    ".",
    "..",
    "../a",
    "a/../b",
    "a/..",
    "./a",
    "a/./b",
    "a//b",
    "a/",
    "/",
    "/a",
    "//a",
]
GOOD_KEYS = [
    "k" * 250,
    "😀" * 250,
    "a/b.c-d_e f:g",
    "...",
    "a/...",
    ".hidden",
    "a..b",
    "ä",
    " a ",
    "a\\b",
    "%",
]

# Where keys stand: what makes the request of (run, experiment, key), and the key's path in it.
KEYS: dict[str, tuple[Callable[[str, str, str], Message], str]] = {
    "LogBatch params": (
        lambda run, _, key: runs.LogBatchRequest(
            run_id=run, params=[{"key": "good"}, {"key": key, "value": "v"}], tags=[{"key": "good"}]
        ),
        "params[1].key",
    ),
    "LogBatch tags": (
        lambda run, _, key: runs.LogBatchRequest(
            run_id=run, tags=[{"key": "good"}, {"key": key, "value": "v"}]
        ),
        "tags[1].key",
    ),
    "LogBatch metrics": (
        lambda run, _, key: runs.LogBatchRequest(
            run_id=run, blocks=[column("good", [1]), column(key, [1])], params=[{"key": "good"}]
        ),
        "blocks[1].keys[0]",
    ),
    "CreateRun params": (
        lambda _, experiment, key: runs.CreateRunRequest(
            experiment_id=experiment, run_id=NEW_RUN, params=[{"key": key}]
        ),
        "params[0].key",
    ),
    "CreateRun tags": (
        lambda _, experiment, key: runs.CreateRunRequest(
            experiment_id=experiment, run_id=NEW_RUN, tags=[{"key": key}]
        ),
        "tags[0].key",
    ),
    "SetRunTags": (
        lambda run, _, key: runs.SetRunTagsRequest(run_id=run, tags=[{"key": "good"}, {"key": key}]),
        "tags[1].key",
    ),
    "DeleteRunTag": (lambda run, _, key: runs.DeleteRunTagRequest(run_id=run, key=key), "key"),
    "CreateExperiment": (
        lambda *ids: experiments.CreateExperimentRequest(name="never made", tags=[{"key": ids[-1]}]),
        "tags[0].key",
    ),
    "SetExperimentTags": (
        lambda _, experiment, key: experiments.SetExperimentTagsRequest(
            experiment_id=experiment, tags=[{"key": "good"}, {"key": key}]
        ),
        "tags[1].key",
    ),
    "DeleteExperimentTag": (
        lambda _, experiment, key: experiments.DeleteExperimentTagRequest(experiment_id=experiment, key=key),
        "key",
    ),
    "GetMetricHistory": (
        lambda run, _, key: metrics.GetMetricHistoryRequest(run_ids=[run], keys=["good", key]),
        "keys[1]",
    ),
    "GetRun metrics": (
        lambda run, _, key: runs.GetRunRequest(run_id=run, mask=runs.RunMask(metric_keys=[key])),
        "mask.metric_keys[0]",
    ),
    "GetRun params": (
        lambda run, _, key: runs.GetRunRequest(run_id=run, mask=runs.RunMask(param_keys=[key])),
        "mask.param_keys[0]",
    ),
    "SearchRuns tags": (
        lambda _, experiment, key: runs.SearchRunsRequest(
            experiment_ids=[experiment], mask=runs.RunMask(tag_keys=[key])
        ),
        "mask.tag_keys[0]",
    ),
}


@pytest.fixture
def experiment(api: Api) -> str:
    return api.new_experiment()


@pytest.fixture
def run(api: Api, experiment: str) -> str:
    return api.new_run(experiment, params=[{"key": "p"}], tags=[{"key": "t"}])


def nothing_new(api: Api) -> None:
    """Checks that what was refused was not created either."""
    api.refused(runs.GetRunRequest(run_id=NEW_RUN), "NOT_FOUND", "RUN_NOT_FOUND")
    by_name = experiments.GetExperimentRequest(name="never made")
    api.refused(by_name, "NOT_FOUND", "EXPERIMENT_NOT_FOUND", name="never made")


@pytest.mark.parametrize("place", KEYS)
def test_bad_keys(api: Api, run: str, experiment: str, place: str) -> None:
    make, field = KEYS[place]
    with api.unchanged(run):
        for key in BAD_KEYS:
            api.bad_field(make(run, experiment, key), field)
    nothing_new(api)


def test_odd_keys_are_kept(api: Api, run: str, experiment: str) -> None:
    pairs = [{"key": key, "value": key} for key in GOOD_KEYS]
    api.log(run, *(column(key, [1.0]) for key in GOOD_KEYS), params=pairs, tags=pairs)
    api(experiments.SetExperimentTagsRequest(experiment_id=experiment, tags=pairs))
    stored = api.run(run)
    ordered = sorted(GOOD_KEYS)
    assert [m.key for m in stored.metrics] == ordered
    assert [p.key for p in stored.params if p.key == p.value] == ordered
    assert [t.key for t in stored.tags if t.key == t.value] == ordered
    assert [b.block.keys[0] for b in api.history(run)] == ordered
    found = api(experiments.GetExperimentRequest(experiment_id=experiment)).experiment
    assert [t.key for t in found.tags] == ordered
    for key in GOOD_KEYS:
        api(runs.DeleteRunTagRequest(run_id=run, key=key))
        api(experiments.DeleteExperimentTagRequest(experiment_id=experiment, key=key))


# Texts with a limit: what makes the request of (run, experiment, text), its path, its limit.
TEXTS: dict[str, tuple[Callable[[str, str, str], Message], str, int]] = {
    "LogBatch param": (
        lambda run, _, text: runs.LogBatchRequest(
            run_id=run, params=[{"key": fresh("k"), "value": text}], tags=[{"key": "good"}]
        ),
        "params[0].value",
        6_000,
    ),
    "CreateRun param": (
        lambda _, experiment, text: runs.CreateRunRequest(
            experiment_id=experiment, params=[{"key": "k", "value": text}]
        ),
        "params[0].value",
        6_000,
    ),
    "LogBatch tag": (
        lambda run, _, text: runs.LogBatchRequest(run_id=run, tags=[{"key": "k", "value": text}]),
        "tags[0].value",
        8_000,
    ),
    "SetRunTags": (
        lambda run, _, text: runs.SetRunTagsRequest(run_id=run, tags=[{"key": "k", "value": text}]),
        "tags[0].value",
        8_000,
    ),
    "CreateRun tag": (
        lambda _, experiment, text: runs.CreateRunRequest(
            experiment_id=experiment, tags=[{"key": "k", "value": text}]
        ),
        "tags[0].value",
        8_000,
    ),
    "CreateExperiment tag": (
        lambda *ids: experiments.CreateExperimentRequest(
            name=fresh("texts"), tags=[{"key": "k", "value": ids[-1]}]
        ),
        "tags[0].value",
        20_000,
    ),
    "SetExperimentTags": (
        lambda _, experiment, text: experiments.SetExperimentTagsRequest(
            experiment_id=experiment, tags=[{"key": "k", "value": text}]
        ),
        "tags[0].value",
        20_000,
    ),
} | {
    f"LogInputs {field}": (
        lambda run, _, text, field=field: log_input(run, **{field: text}),
        f"inputs[0].{'context' if field == 'context' else f'dataset.{field}'}",
        limit,
    )
    for field, limit in {
        "digest": 64,
        "source_type": 250,
        "source": 65_535,
        "schema": 1_048_575,
        "profile": 1_048_575,
        "context": 250,
    }.items()
}


def log_input(run: str, context: str = "", **fields: str) -> runs.LogInputsRequest:
    dataset = runs.Dataset(**{"name": "wine", "digest": "ab", **fields})
    return runs.LogInputsRequest(run_id=run, inputs=[runs.DatasetInput(dataset=dataset, context=context)])


@pytest.mark.parametrize("place", TEXTS)
def test_texts(api: Api, run: str, experiment: str, place: str) -> None:
    make, field, limit = TEXTS[place]
    wide = "😀" if limit < 1_000_000 else "a"
    with api.unchanged(run):
        for text in ("a" * (limit + 1), wide * (limit + 1), "a\0b"):
            api.bad_field(make(run, experiment, text), field)
    # Counted in characters, not in bytes or UTF-16 units.
    api(make(run, experiment, "a" * limit))
    api(make(run, experiment, wide * limit))


NAMES: dict[str, tuple[Callable[[str, str, str], Message], str]] = {
    "CreateExperiment": (lambda *ids: experiments.CreateExperimentRequest(name=ids[-1]), "name"),
    "UpdateExperiment": (
        lambda _, experiment, name: experiments.UpdateExperimentRequest(
            experiment_id=experiment, name=name, update_mask={"paths": ["name"]}
        ),
        "name",
    ),
    "CreateRun": (
        lambda _, experiment, name: runs.CreateRunRequest(experiment_id=experiment, name=name),
        "name",
    ),
    "UpdateRun": (
        lambda run, _, name: runs.UpdateRunRequest(run_id=run, name=name, update_mask={"paths": ["name"]}),
        "name",
    ),
    "LogInputs": (lambda run, _, name: log_input(run, name=name), "inputs[0].dataset.name"),
}


@pytest.mark.parametrize("place", NAMES)
def test_names(api: Api, run: str, experiment: str, place: str) -> None:
    make, field = NAMES[place]
    # A run without a name gets one.
    bad = ["a" * 501, "😀" * 501, " ", "a\nb", "a\0b", "a\x9fb", "a\u2029b"] + [""] * (place != "CreateRun")
    with api.unchanged(run):
        for name in bad:
            api.bad_field(make(run, experiment, name), field)
    # Distinct characters of four bytes do not compress: index entries of PostgreSQL end at 2.7 kB.
    api(make(run, experiment, incompressible(500)))


def incompressible(length: int) -> str:
    """Makes a text of as many bytes as its characters can have, unlike any other."""
    return "".join(chr(random.randrange(0x10000, 0x110000)) for _ in range(length))


def test_the_longest_of_all_is_kept_whole(api: Api) -> None:
    key, name = incompressible(250), incompressible(500)
    values = {limit: incompressible(limit) for limit in (64, 200, 250, 6_000, 8_000, 20_000)}
    tags = [{"key": key, "value": values[20_000]}]
    created = api(experiments.CreateExperimentRequest(name=name, tags=tags)).experiment
    assert (created.name, created.tags[0].key, created.tags[0].value) == (name, key, values[20_000])
    run = api.new_run(
        created.experiment_id,
        name=name,
        params=[{"key": key, "value": values[6_000]}, {"key": "short", "value": values[200]}],
        tags=[{"key": key, "value": values[8_000]}, {"key": "short", "value": values[200]}],
    )
    api.log(run, column(key, [1.0]))
    api(log_input(run, values[250], name=name, digest=values[64], source_type=values[250]))
    stored = api.run(run)
    assert stored.name == name
    assert {p.key: p.value for p in stored.params} == {key: values[6_000], "short": values[200]}
    assert {t.key: t.value for t in stored.tags} == {key: values[8_000], "short": values[200]}
    assert stored.metrics[0].key == key
    (dataset,) = stored.inputs
    assert (dataset.context, dataset.dataset.name, dataset.dataset.digest) == (values[250], name, values[64])
    found = api(experiments.GetExperimentRequest(name=name)).experiment
    assert found == created


TWICE: dict[str, tuple[Callable[[str, str], Message], str]] = {
    "LogBatch params": (
        lambda run, _: runs.LogBatchRequest(
            run_id=run, params=[{"key": "a", "value": "1"}, {"key": "b"}, {"key": "a", "value": "1"}]
        ),
        "params[2].key",
    ),
    "LogBatch tags": (
        lambda run, _: runs.LogBatchRequest(run_id=run, tags=[{"key": "a", "value": "1"}, {"key": "a"}]),
        "tags[1].key",
    ),
    "LogBatch metrics": (
        lambda run, _: runs.LogBatchRequest(
            run_id=run, blocks=[{"keys": ["a", "a"], "range": {}, "timestamps_ms": [1], "values": [1, 2]}]
        ),
        "blocks[0].keys",
    ),
    "SetRunTags": (
        lambda run, _: runs.SetRunTagsRequest(run_id=run, tags=[{"key": "a"}, {"key": "a"}]),
        "tags[1].key",
    ),
    "SetExperimentTags": (
        lambda _, experiment: experiments.SetExperimentTagsRequest(
            experiment_id=experiment, tags=[{"key": "a"}, {"key": "a"}]
        ),
        "tags[1].key",
    ),
    "CreateRun": (
        lambda _, experiment: runs.CreateRunRequest(
            experiment_id=experiment, run_id=NEW_RUN, params=[{"key": "a"}, {"key": "a"}]
        ),
        "params[1].key",
    ),
    "CreateExperiment": (
        lambda *_: experiments.CreateExperimentRequest(name="never made", tags=[{"key": "a"}, {"key": "a"}]),
        "tags[1].key",
    ),
    "GetMetricHistory": (
        lambda run, _: metrics.GetMetricHistoryRequest(run_ids=[run], keys=["a", "a"]),
        "keys",
    ),
    "GetMetricHistory runs": (lambda run, _: metrics.GetMetricHistoryRequest(run_ids=[run, run]), "run_ids"),
    "SearchRuns": (
        lambda _, experiment: runs.SearchRunsRequest(experiment_ids=[experiment, experiment]),
        "experiment_ids",
    ),
}


@pytest.mark.parametrize("place", TWICE)
def test_nothing_may_be_there_twice(api: Api, run: str, experiment: str, place: str) -> None:
    make, field = TWICE[place]
    with api.unchanged(run):
        api.bad_field(make(run, experiment), field)
    nothing_new(api)


@pytest.mark.parametrize(("field", "count"), [("params", 1_001), ("tags", 1_001)])
def test_too_many_entries(api: Api, run: str, experiment: str, field: str, count: int) -> None:
    entries: Any = [{"key": f"k{i}", "value": "v"} for i in range(count)]
    with api.unchanged(run):
        api.bad_field(runs.LogBatchRequest(run_id=run, **{field: entries}), field)
        request = runs.CreateRunRequest(experiment_id=experiment, run_id=NEW_RUN, **{field: entries})
        api.bad_field(request, field)
    nothing_new(api)
    api.log(run, **{field: entries[1:]})
    assert len(getattr(api.run(run), field)) >= 1_000


def test_all_violations_are_told_up_to_twenty(api: Api, run: str) -> None:
    broken = runs.LogBatchRequest(
        run_id="x", params=[{"key": "/a"}], tags=[{"key": "", "value": "\0"}], request_id="?"
    )
    failure = api.bad_field(broken, "request_id")
    assert list(failure.violations) == [
        "request_id",
        "run_id",
        "params[0].key",
        "tags[0].key",
        "tags[0].value",
    ]
    assert "4 more" in failure.message
    with api.unchanged(run):
        many = runs.LogBatchRequest(run_id=run, params=[{"key": f"/{i}"} for i in range(25)])
        failure = api.bad_field(many, "params[0].key")
        assert list(failure.violations) == [f"params[{i}].key" for i in range(20)]
        assert "24 more" in failure.message
