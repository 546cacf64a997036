"""What goes in comes out bit by bit: names that only look alike, doubles, steps, times."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import pytest
from tests.rpc.asking import Api, column, fresh
from tests.rpc.requests import row

from runwire.v1 import block_pb2
from runwire.v1 import experiment_pb2 as experiments
from runwire.v1 import run_pb2 as runs

# Different texts that somebody or something may take for the same.
ALIKE = [
    "caf\u00e9",  # composed
    "cafe\u0301",  # decomposed
    "CAF\u00c9",
    "cafe",
    "Cafe",
    "cafe ",
    " cafe",
    "caf\uff45",  # fullwidth e
    "\u0441afe",  # Cyrillic s
    "cafe\u200b",  # zero width space
    "caf\u212f",  # script e
    "stra\u00dfe",
    "strasse",
    "\u0130",  # Turkish capital I with dot
    "i\u0307",
    "I",
    "i",
    "\u0131",
    "\ufb01",  # ligature
    "fi",
    "10",
    "010",
    "1e1",
    "%",
    "_",
]
BITS = {
    "nan": 0x7FF8000000000000,
    "nan with a payload": 0x7FF8DEADBEEF0001,
    "negative nan": 0xFFF8000000000000,
    "negative nan with all bits": 0xFFFFFFFFFFFFFFFF,
    "signalling nan": 0x7FF0000000000001,
    "negative signalling nan": 0xFFF4000000000000,
    "inf": 0x7FF0000000000000,
    "-inf": 0xFFF0000000000000,
    "0.0": 0x0000000000000000,
    "-0.0": 0x8000000000000000,
    "least subnormal": 0x0000000000000001,
    "negative subnormal": 0x8000000000000001,
    "greatest subnormal": 0x000FFFFFFFFFFFFF,
    "least normal": 0x0010000000000000,
    "DBL_MAX": 0x7FEFFFFFFFFFFFFF,
    "-DBL_MAX": 0xFFEFFFFFFFFFFFFF,
    "0.1": 0x3FB999999999999A,
    "behind 1": 0x3FF0000000000001,
    "2^53": 0x4340000000000000,
}
MAX, MIN = 2**63 - 1, -(2**63)


def doubles(bits: Sequence[int]) -> list[float]:
    return list(struct.unpack(f"<{len(bits)}d", struct.pack(f"<{len(bits)}Q", *bits)))


def bits_of(values: Sequence[float]) -> list[int]:
    return list(struct.unpack(f"<{len(values)}Q", struct.pack(f"<{len(values)}d", *values)))


def is_nan(bits: int) -> bool:
    return bits & 0x7FFFFFFFFFFFFFFF > 0x7FF0000000000000


@pytest.fixture
def run(api: Api) -> str:
    return api.new_run()


def test_experiments_that_look_alike(api: Api) -> None:
    stem = fresh("alike")
    ids = {text: api.new_experiment(stem + text) for text in ALIKE}
    assert len(set(ids.values())) == len(ALIKE)
    for text, experiment_id in ids.items():
        found = api(experiments.GetExperimentRequest(name=stem + text)).experiment
        assert (found.experiment_id, found.name) == (experiment_id, stem + text)
        quoted = (stem + text).replace("'", "''")
        answer = api(experiments.SearchExperimentsRequest(filter=f"name = '{quoted}'"))
        assert [e.experiment_id for e in answer.experiments] == [experiment_id]
        taken = experiments.CreateExperimentRequest(name=stem + text)
        api.refused(taken, "ALREADY_EXISTS", "EXPERIMENT_EXISTS", experiment_id=experiment_id)


def test_keys_that_look_alike(api: Api, run: str) -> None:
    numbers = {key: float(i) for i, key in enumerate(ALIKE)}
    pairs = [{"key": key, "value": str(value)} for key, value in numbers.items()]
    api.log(run, row(numbers), params=pairs, tags=pairs)
    stored = api.run(run)
    # By code point, on both databases.
    expected = sorted(numbers.items())
    assert [(m.key, m.value) for m in stored.metrics] == expected
    assert [(p.key, float(p.value)) for p in stored.params] == expected
    assert [(t.key, float(t.value)) for t in stored.tags if t.key in numbers] == expected
    assert [(b.block.keys[0], b.block.values[0]) for b in api.history(run)] == expected
    for key, value in numbers.items():
        mask = runs.RunMask(metric_keys=[key], param_keys=[key], tag_keys=[key])
        masked = api(runs.GetRunRequest(run_id=run, mask=mask)).run
        assert [m.value for m in masked.metrics] == [value]
        assert [float(p.value) for p in masked.params] == [value]
        assert [float(t.value) for t in masked.tags] == [value]
        (block,) = api.history(run, keys=[key])
        assert list(block.block.values) == [value]
        api(runs.DeleteRunTagRequest(run_id=run, key=key))
        changed = runs.LogBatchRequest(run_id=run, params=[{"key": key, "value": "changed"}])
        api.refused(changed, "FAILED_PRECONDITION", "PARAM_IMMUTABLE", key=key, stored=str(value))


def test_experiment_tags_that_look_alike(api: Api) -> None:
    experiment_id = api.new_experiment()
    tags = [{"key": key, "value": key} for key in ALIKE]
    api(experiments.SetExperimentTagsRequest(experiment_id=experiment_id, tags=tags))
    found = api(experiments.GetExperimentRequest(experiment_id=experiment_id)).experiment
    assert [(t.key, t.value) for t in found.tags] == [(key, key) for key in sorted(ALIKE)]


@pytest.mark.parametrize(
    "text", ["", " ", "a\r\nb\t", "\ufeffa", "\ufffe\uffff", "\U0010ffff", "\x01\x7f\x9f", "\u2028"]
)
def test_values_are_kept_as_they_are(api: Api, text: str) -> None:
    experiment_id = api.new_experiment()
    pairs = [{"key": "k", "value": text}]
    run = api.new_run(experiment_id, params=pairs, tags=pairs)
    api(experiments.SetExperimentTagsRequest(experiment_id=experiment_id, tags=pairs))
    stored = api.run(run)
    assert (stored.params[0].value, stored.tags[0].value) == (text, text)
    assert api(experiments.GetExperimentRequest(experiment_id=experiment_id)).experiment.tags[0].value == text
    # The same again, and something else.
    api.log(run, params=pairs)
    changed = runs.LogBatchRequest(run_id=run, params=[{"key": "k", "value": text + " "}])
    api.refused(changed, "FAILED_PRECONDITION", "PARAM_IMMUTABLE")


def check_single(summary: block_pb2.MetricSummary, bits: int) -> None:
    """Checks the summary of a series whose points all have one value."""
    assert bits_of([summary.value, summary.first_value]) == [bits, bits]
    if is_nan(bits):
        assert summary.nan_count == summary.count
        bounds = ("min_value", "min_step", "max_value", "max_step")
        assert not any(summary.HasField(name) for name in bounds)
    else:
        assert summary.nan_count == 0
        assert bits_of([summary.min_value, summary.max_value]) == [bits, bits]


@pytest.mark.parametrize("form", ["row", "column", "one by one"])
def test_doubles(api: Api, run: str, form: str) -> None:
    values = dict(zip(BITS, doubles(list(BITS.values())), strict=True))
    if form == "row":
        api.log(run, row(values))
    elif form == "column":
        api.log(run, *(column(key, [value] * 3) for key, value in values.items()))
    else:
        for key, value in values.items():
            api.log(run, column(key, [value]))
            api.log(run, column(key, [value], first=1))
    count = {"row": 1, "column": 3, "one by one": 2}[form]
    blocks = {b.block.keys[0]: b.block for b in api.history(run)}
    summaries = {m.key: m for m in api.run(run).metrics}
    assert set(blocks) == set(summaries) == set(BITS)
    for key, bits in BITS.items():
        assert bits_of(blocks[key].values) == [bits] * count, key
        assert summaries[key].count == count
        check_single(summaries[key], bits)


def test_doubles_in_one_series(api: Api, run: str) -> None:
    # A signalling one last, and -0.0 first, so that the summary has to carry both.
    bits = [BITS["-0.0"], *BITS.values(), BITS["signalling nan"]]
    api.log(run, column("m", doubles(bits)))
    (block,) = api.history(run)
    assert bits_of(block.block.values) == bits
    (summary,) = api.run(run).metrics
    assert bits_of([summary.value, summary.first_value]) == [BITS["signalling nan"], BITS["-0.0"]]
    assert (summary.count, summary.nan_count) == (len(bits), 1 + sum(map(is_nan, BITS.values())))
    assert (summary.min_value, summary.max_value) == (float("-inf"), float("inf"))
    names = list(BITS)
    assert (summary.min_step, summary.max_step) == (names.index("-inf") + 1, names.index("inf") + 1)


@pytest.mark.parametrize("first", ["0.0", "-0.0"])
def test_zeros_keep_their_sign(api: Api, run: str, first: str) -> None:
    second = "-0.0" if first == "0.0" else "0.0"
    sent = doubles([BITS[first], BITS[second], BITS[second]])
    api.log(run, column("at once", sent), *(column("one by one", [v], step) for step, v in enumerate(sent)))
    for step, value in enumerate(sent):
        api.log(run, column("in batches", [value], step))
    for summary in api.run(run).metrics:
        # They are equal, so the lowest step has minimum and maximum both.
        assert bits_of([summary.first_value, summary.value]) == [BITS[first], BITS[second]]
        assert (summary.min_step, summary.max_step) == (0, 0)
        assert bits_of([summary.min_value, summary.max_value]) == [BITS[first]] * 2


@pytest.mark.parametrize("batches", [1, 4])
def test_steps_and_times(api: Api, run: str, batches: int) -> None:
    steps = [MAX, 2**53 + 1, 0, -1, MIN, -(2**53) - 1, MAX - 1, MIN + 1]
    times = [MAX, 0, 2**53 + 1, 1, MAX - 1, 5, 6, 7]
    size = len(steps) // batches
    for start in range(0, len(steps), size):
        part = slice(start, start + size)
        api.log(
            run,
            block_pb2.Block(
                keys=["a", "b"],
                steps={"steps": steps[part]},
                timestamps_ms=times[part],
                values=[float(v) for i in range(*part.indices(len(steps))) for v in (i, -i)],
            ),
        )
    order = sorted(range(len(steps)), key=steps.__getitem__)
    for sign, block in zip((1, -1), api.history(run), strict=True):
        assert list(block.block.steps.steps) == [steps[i] for i in order]
        assert list(block.block.timestamps_ms) == [times[i] for i in order]
        assert list(block.block.values) == [float(sign * i) for i in order]
    summary = api.run(run).metrics[0]
    assert (summary.step, summary.timestamp_ms, summary.value) == (MAX, MAX, 0.0)
    assert (summary.first_step, summary.first_timestamp_ms, summary.first_value) == (MIN, MAX - 1, 4.0)
    assert (summary.min_step, summary.max_step) == (MAX, MIN + 1)


@pytest.mark.parametrize(
    ("first", "stride"),
    [(MAX, 0), (MIN, 0), (MIN, MAX), (MAX, -MAX), (5, -3), (-(2**62), 2**62), (0, 2**53 + 1)],
)
def test_ranges_of_steps(api: Api, run: str, first: int, stride: int) -> None:
    expected = [first, first + stride, first + 2 * stride]
    count = 3 if MIN <= expected[2] <= MAX else 2
    block: Any = {"range": {"first": first, "stride": stride}, "timestamps_ms": [1] * count}
    api.log(run, block_pb2.Block(keys=["m"], values=[0.0, 1.0, 2.0][:count], **block))
    (read,) = api.history(run)
    points = sorted(zip(expected[:count], range(count), strict=True))
    assert list(read.block.steps.steps) == [step for step, _ in points]
    assert list(read.block.values) == [float(i) for _, i in points]


def test_resource_times_are_kept_to_the_millisecond(api: Api) -> None:
    last = 253_402_300_799
    run = api.new_run(start_time={"seconds": last, "nanos": 999_999_999})
    api(runs.FinishRunRequest(run_id=run, end_time={"seconds": 0, "nanos": 1_999_999}))
    stored = api.run(run)
    assert (stored.start_time.seconds, stored.start_time.nanos) == (last, 999_000_000)
    assert (stored.end_time.seconds, stored.end_time.nanos) == (0, 1_000_000)
