"""Batches that do not fit together are refused by field, and nothing of them is stored."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from tests.rpc.asking import Api, column, failure_of
from tests.rpc.requests import encoded, group_of, row

from runwire.v1 import block_pb2
from runwire.v1 import metric_pb2 as metrics
from runwire.v1 import run_pb2 as runs

MAX, MIN = 2**63 - 1, -(2**63)
LOG_BATCH = "/runwire.v1.RunService/LogBatch"
WIDE = {f"key {k}": float(k) for k in range(9)}


@pytest.fixture
def run(api: Api) -> str:
    run_id = api.new_run(params=[{"key": "p", "value": "1"}], tags=[{"key": "t", "value": "1"}])
    api.log(run_id, column("m", [1.0, 2.0]))
    return run_id


def batch(run_id: str, *blocks: Any) -> runs.LogBatchRequest:
    """A batch with good parts around the blocks, none of which may be stored."""
    return runs.LogBatchRequest(
        run_id=run_id,
        blocks=[column("good", [1.0]), *blocks, column("good", [2.0])],
        params=[{"key": "new", "value": "2"}],
        tags=[{"key": "t", "value": "2"}, {"key": "new", "value": "2"}],
    )


def block(**fields: Any) -> dict[str, Any]:
    """A sound block of two steps by two keys, but for what is given; None leaves a field out."""
    sound = {"keys": ["a", "b"], "steps": {"steps": [1, 2]}, "timestamps_ms": [1, 2], "values": [1, 2, 3, 4]}
    return {name: value for name, value in {**sound, **fields}.items() if value is not None}


BROKEN = {
    "fewer steps": (block(steps={"steps": [1]}), ".steps"),
    "more steps": (block(steps={"steps": [1, 2, 3]}), ".steps"),
    "no steps": (block(steps={"steps": []}), ".steps"),
    "no axis": (block(steps=None), ""),
    "fewer times": (block(timestamps_ms=[1]), ".steps"),
    "no times": (block(timestamps_ms=[]), ".timestamps_ms"),
    "nothing but keys": (block(steps={}, timestamps_ms=[], values=[]), ".timestamps_ms"),
    "a negative time": (block(timestamps_ms=[0, -1]), ".timestamps_ms"),
    "the lowest time": (block(timestamps_ms=[MIN, MAX]), ".timestamps_ms"),
    "fewer values": (block(values=[1, 2, 3]), ".values"),
    "more values": (block(values=[1, 2, 3, 4, 5]), ".values"),
    "another multiple": (block(values=[1, 2]), ".values"),
    "no values": (block(values=[]), ".values"),
    "no keys": (block(keys=[]), ".keys"),
    "steps above int64": (block(steps=None, range={"first": MAX, "stride": 1}), ".range"),
    "steps below int64": (block(steps=None, range={"first": MIN, "stride": -1}), ".range"),
    "steps all round": (block(steps=None, range={"first": -1, "stride": MIN}), ".range"),
    "a short group": (block(keys=None, group=b"g" * 15), ".group"),
    "a long group": (block(keys=None, group=b"g" * 17), ".group"),
    "keys beside a group": (block(group=b"g" * 16), ".keys"),
    "a group's values": (block(keys=None, group=b"g" * 16, values=[1, 2, 3]), ".values"),
    "a group without values": (block(keys=None, group=b"g" * 16, values=[]), ".values"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_blocks_that_do_not_fit(api: Api, run: str, what: str) -> None:
    broken, field = BROKEN[what]
    with api.unchanged(run):
        api.bad_field(batch(run, broken), f"blocks[1]{field}")


def test_edges_of_int64_fit(api: Api, run: str) -> None:
    first = block(steps=None, range={"first": MAX - 3, "stride": 3}, timestamps_ms=[0, MAX])
    api.log(
        run,
        block_pb2.Block(**first),
        block_pb2.Block(**block(steps=None, range={"first": MIN, "stride": MAX})),
    )
    steps = [s for b in api.history(run, keys=["a"]) for s in b.block.steps.steps]
    assert steps == [MIN, -1, MAX - 3, MAX]


@pytest.mark.parametrize("number", [5, 6])
@pytest.mark.parametrize("future", [b"", encoded(99, b"of the future")])
def test_packed_numbers_that_are_not_whole(api: Api, run: str, number: int, future: bytes) -> None:
    sound = block_pb2.Block(**block()).SerializeToString()
    data = runs.LogBatchRequest(run_id=run, params=[{"key": "new"}]).SerializeToString()
    data += encoded(2, sound + encoded(number, b"1234567") + future)
    with api.unchanged(run):
        with pytest.raises(grpc.RpcError) as caught:
            api.raw(LOG_BATCH, data)
        failure = failure_of(caught.value)
        assert (failure.reason, failure.metadata) == ("INVALID_FIELD", {"field": "blocks[0]"})


@pytest.mark.parametrize(
    "blocks",
    [
        [column("a", [0.0] * 10_001)],
        [column("a", [0.0] * 5_000), column("b", [0.0] * 5_001)],
        [row({f"k{k}": 0.0 for k in range(10_001)})],
        [row({"k": 0.0})] * 10_001,
        [{"keys": ["a"], "range": {}, "timestamps_ms": [1], "values": [1]}] * 9_999 + [column("b", [0, 1])],
    ],
    ids=["one block", "two", "one row", "one point each", "one more"],
)
def test_too_many_points(api: Api, run: str, blocks: list[Any]) -> None:
    with api.unchanged(run):
        api.bad_field(runs.LogBatchRequest(run_id=run, blocks=blocks, params=[{"key": "new"}]), "blocks")


@pytest.mark.parametrize("rows", [1, 5, 10_000])
def test_ten_thousand_points(api: Api, run: str, rows: int) -> None:
    width = 10_000 // rows
    keys = [f"k{k:05}" for k in range(width)]
    values = [float(v) for v in range(10_000)]
    whole = block_pb2.Block(keys=keys, range={"stride": 1}, timestamps_ms=[1] * rows, values=values)
    api.log(run, whole)
    read = {b.block.keys[0]: list(b.block.values) for b in api.history(run, keys=keys[:1_000])}
    assert read == {key: values[k::width] for k, key in enumerate(keys[:1_000])}


def test_a_batch_above_the_message_limit(api: Api, run: str) -> None:
    params = [{"key": f"k{i}", "value": "😀" * 6_000} for i in range(200)]
    request = runs.LogBatchRequest(run_id=run, params=params)
    with api.unchanged(run):
        size = str(request.ByteSize())
        api.refused(request, "RESOURCE_EXHAUSTED", "MESSAGE_TOO_LARGE", bytes=size, max_bytes="4194304")


def test_an_empty_batch_is_none_the_less_checked(api: Api, run: str) -> None:
    with api.unchanged(run):
        api.log(run)
    unknown = runs.LogBatchRequest(run_id="0" * 32)
    api.refused(unknown, "NOT_FOUND", "RUN_NOT_FOUND", run_id="0" * 32)


def test_params_are_write_once(api: Api, run: str) -> None:
    changed = batch(run)
    changed.params.add(key="p", value="2")
    with api.unchanged(run):
        facts = {"run_id": run, "key": "p", "stored": "1", "sent": "2"}
        api.refused(changed, "FAILED_PRECONDITION", "PARAM_IMMUTABLE", **facts)
    # The same again is nothing new, also beside a new one.
    api.log(run, params=[{"key": "p", "value": "1"}, {"key": "q", "value": ""}])
    api.log(run, params=[{"key": "q"}])
    assert {p.key: p.value for p in api.run(run).params} == {"p": "1", "q": ""}
    with api.unchanged(run):
        again = runs.LogBatchRequest(run_id=run, params=[{"key": "q", "value": " "}])
        api.refused(again, "FAILED_PRECONDITION", "PARAM_IMMUTABLE", stored="", sent=" ")


def test_a_long_param_is_shortened_in_the_error(api: Api, run: str) -> None:
    key, value = "😀" * 250, "😀" * 6_000
    api.log(run, params=[{"key": key, "value": value}])
    changed = runs.LogBatchRequest(run_id=run, params=[{"key": key, "value": value[:-1] + "a"}])
    # More often than once: gRPC refuses what is somewhat too large only now and then.
    for _ in range(20):
        failure = api.refused(changed, "FAILED_PRECONDITION", "PARAM_IMMUTABLE", key=key)
        assert failure.metadata["stored"] == failure.metadata["sent"] == "😀" * 200 + "..."


def test_a_long_unknown_tag_is_told(api: Api, run: str) -> None:
    unknown = runs.DeleteRunTagRequest(run_id=run, key="%" * 125 + "😀" * 125)
    for _ in range(20):
        api.refused(unknown, "NOT_FOUND", "TAG_NOT_FOUND", key=unknown.key)


def grouped(keys: list[str], values: list[float], step: int = 0) -> block_pb2.Block:
    """A row of values whose keys are named by their group."""
    return block_pb2.Block(group=group_of(keys), steps={"steps": [step]}, timestamps_ms=[1], values=values)


def test_unknown_groups(api: Api, run: str) -> None:
    keys, values = list(WIDE), list(WIDE.values())
    unknown, name = grouped(keys, values), group_of(keys).hex()
    with api.unchanged(run):
        facts = {"run_id": run, "group": name}
        api.refused(batch(run, unknown), "FAILED_PRECONDITION", "GROUP_UNKNOWN", **facts)
    # What another run has stored does not count.
    other = api.new_run()
    api.log(other, row(WIDE))
    api.refused(batch(run, unknown), "FAILED_PRECONDITION", "GROUP_UNKNOWN", group=name)
    api.log(run, row(WIDE))
    api.log(run, grouped(keys, [v + 1 for v in values], step=1))
    read = {b.block.keys[0]: list(b.block.values) for b in api.history(run, keys=keys)}
    assert read == {key: [value, value + 1] for key, value in WIDE.items()}
    assert next(m for m in api.run(run).metrics if m.key == "key 3").value == 4.0


def test_a_group_is_its_keys_in_their_order(api: Api, run: str) -> None:
    keys = list(WIDE)
    api.log(run, row(WIDE))
    with api.unchanged(run):
        for other in (keys[::-1], keys[:-1], [*keys, "one more"]):
            unknown = batch(run, grouped(other, [1.0] * len(other)))
            api.refused(unknown, "FAILED_PRECONDITION", "GROUP_UNKNOWN")


@pytest.mark.parametrize("count", [1, 8, 10, 18])
def test_values_that_do_not_fit_a_known_group(api: Api, run: str, count: int) -> None:
    api.log(run, row(WIDE))
    with api.unchanged(run):
        api.bad_field(batch(run, grouped(list(WIDE), [1.0] * count)), "blocks[1].values")


def test_a_refused_batch_leaves_its_group_unknown(api: Api, run: str) -> None:
    refused = runs.LogBatchRequest(run_id=run, blocks=[row(WIDE)], params=[{"key": "p", "value": "changed"}])
    api.refused(refused, "FAILED_PRECONDITION", "PARAM_IMMUTABLE")
    unknown = runs.LogBatchRequest(run_id=run, blocks=[grouped(list(WIDE), list(WIDE.values()))])
    api.refused(unknown, "FAILED_PRECONDITION", "GROUP_UNKNOWN")


OTHER_FIELDS = {
    "status of CreateRun": (runs.CreateRunRequest(experiment_id="0", status=3), "status"),
    "unknown status": (runs.CreateRunRequest(experiment_id="0", status=77), "status"),
    "status of FinishRun": (runs.FinishRunRequest(run_id="0" * 32, status=1), "status"),
    "start before 1970": (
        runs.CreateRunRequest(experiment_id="0", start_time={"seconds": -1, "nanos": 999_999_999}),
        "start_time",
    ),
    "start in 10000": (
        runs.CreateRunRequest(experiment_id="0", start_time={"seconds": 253_402_300_800}),
        "start_time",
    ),
    "nanoseconds": (runs.FinishRunRequest(run_id="0" * 32, end_time={"nanos": 1_000_000_000}), "end_time"),
    "negative nanoseconds": (runs.FinishRunRequest(run_id="0" * 32, end_time={"nanos": -1}), "end_time"),
    "no mask": (runs.UpdateRunRequest(run_id="0" * 32, name="a"), "update_mask"),
    "unknown path": (
        runs.UpdateRunRequest(run_id="0" * 32, update_mask={"paths": ["tags"]}),
        "update_mask.paths[0]",
    ),
    "wildcard": (
        runs.UpdateRunRequest(run_id="0" * 32, update_mask={"paths": ["*"]}),
        "update_mask.paths[0]",
    ),
    "status to nothing": (
        runs.UpdateRunRequest(run_id="0" * 32, update_mask={"paths": ["status"]}),
        "status",
    ),
    "unknown part": (
        runs.GetRunRequest(run_id="0" * 32, mask={"fields": {"paths": ["params.a"]}}),
        "mask.fields.paths[0]",
    ),
    "no tags": (runs.SetRunTagsRequest(run_id="0" * 32), "tags"),
    "no inputs": (runs.LogInputsRequest(run_id="0" * 32), "inputs"),
    "101 inputs": (runs.LogInputsRequest(run_id="0" * 32, inputs=[{}] * 101), "inputs"),
    "no data set": (runs.LogInputsRequest(run_id="0" * 32, inputs=[{}]), "inputs[0].dataset.name"),
    "no digest": (
        runs.LogInputsRequest(run_id="0" * 32, inputs=[{"dataset": {"name": "a"}}]),
        "inputs[0].dataset.digest",
    ),
    "allow_existing alone": (runs.CreateRunRequest(experiment_id="0", allow_existing=True), "run_id"),
    "no runs": (metrics.GetMetricHistoryRequest(), "run_ids"),
    "101 runs": (metrics.GetMetricHistoryRequest(run_ids=[f"{i:032x}" for i in range(101)]), "run_ids"),
    "1,001 keys": (
        metrics.GetMetricHistoryRequest(run_ids=["0" * 32], keys=[f"k{i}" for i in range(1_001)]),
        "keys",
    ),
    "steps upside down": (
        metrics.GetMetricHistoryRequest(run_ids=["0" * 32], min_step=1, max_step=0),
        "max_step",
    ),
}


@pytest.mark.parametrize("what", OTHER_FIELDS)
def test_other_fields(api: Api, what: str) -> None:
    request, field = OTHER_FIELDS[what]
    api.bad_field(request, field)
