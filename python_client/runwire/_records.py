"""Makes a record of each thing that is logged, checked as the server would check it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from google.protobuf.field_mask_pb2 import FieldMask

from runwire import _convert, _encoding, _rules, _series, _values, entities, errors
from runwire._cutter import MOST_BEGIN_BYTES, Begin
from runwire._folding import MOST_RECORD_BYTES, Groups, Record
from runwire._ids import readable, uuid7
from runwire._messages import Pairs, dataset_input, params_of, tags_of
from runwire.v1 import block_pb2, frame_pb2, run_pb2

_SERIES_BYTES: Final = 1024 * 1024
_ENDED: Final = ("FINISHED", "FAILED", "KILLED")


def _now() -> int:
    return time.time_ns() // 1_000_000


def _record(run_id: str, record: frame_pb2.Record) -> Record:
    data = record.SerializeToString()
    if len(data) > MOST_RECORD_BYTES:
        raise _too_large(len(data))
    return Record(run_id, data)


def _too_large(size: int) -> errors.InvalidArgument:
    return _rules.invalid(
        "blocks", f"must fit in one frame: {size} bytes, and at most {MOST_RECORD_BYTES} are"
    )


def final_status(status: str) -> run_pb2.RunStatus.ValueType:
    """Finds the status that a run ends with.

    Args:
        status: Its name.

    Returns:
        Its number.

    Raises:
        InvalidArgument: Runs do not end with it.
        ValueError: There is no such status.
    """
    if status not in entities.RunStatus.__members__:
        raise ValueError(f"status must be one of {', '.join(_ENDED)}, and is {status!r}")
    if status not in _ENDED:
        raise _rules.invalid("status", "must be FINISHED, FAILED or KILLED")
    return _convert.status_number(status)


class Records:
    """Builds records."""

    def __init__(self, now: Callable[[], int] = _now, chance: random.Random | None = None) -> None:
        """Makes the builder.

        Args:
            now: Tells the time, unix ms.
            chance: Where made-up names come from.
        """
        self._now = now
        self._chance = chance or random.Random()
        self._groups = Groups()

    def batch(self, run_id: str, metrics: Pairs, params: Pairs, tags: Pairs) -> Record:
        """Makes a record of points, params and tags: all or none."""
        given, named = params_of(params), tags_of(tags)
        _rules.run_id(run_id)
        _rules.pairs(given, "params", _rules.MOST_PARAM)
        _rules.pairs(named, "tags", _rules.MOST_TAG)
        try:
            blocks = [block for block in _values.blocks(metrics, self._now()) if block.timestamps_ms]
        except UnicodeEncodeError as error:
            raise _rules.invalid("blocks.keys", "must be text that UTF-8 can hold") from error
        points = sum(len(block.values) for block in blocks)
        declared = [group for i, block in enumerate(blocks) for group in self._shorten(block, i)]
        request = run_pb2.LogBatchRequest(run_id=run_id, blocks=blocks, params=given, tags=named)
        data = frame_pb2.Record(batch=request).SerializeToString()
        if len(data) > MOST_RECORD_BYTES:
            raise _too_large(len(data))
        return Record(run_id, data, tuple(declared), points)

    def _shorten(self, block: block_pb2.Block, place: int) -> tuple[frame_pb2.Group, ...]:
        """Checks a block, and names its keys by a group if they were there before."""
        keys, rows = tuple(block.keys), len(block.timestamps_ms)
        for i, key in enumerate(keys):
            _rules.key(key, f"blocks[{place}].keys[{i}]")
        if not block.group and (not keys or len(set(keys)) != len(keys)):
            raise _rules.invalid(f"blocks[{place}].keys", "must be there, and nothing twice")
        if not block.group and rows * len(keys) != len(block.values):
            raise _rules.invalid(f"blocks[{place}].values", "must be as many as steps times keys")
        _rules.times(block.timestamps_ms)
        parts = self._groups.parts(keys)
        if len(parts) != 1 or parts[0].group is None:
            return ()
        del block.keys[:]
        block.group = parts[0].group.hash
        return (parts[0].group,)

    def series(self, run_id: str, key: str, values: Any, steps: Any, timestamps: Any) -> list[Record]:
        """Makes records of a series, as many as it takes."""
        _rules.run_id(run_id)
        _rules.key(key)
        found: list[Record] = []
        blocks: list[bytes] = []
        size = points = 0
        for block, count in _series.blocks(key, values, steps, timestamps, self._now()):
            if blocks and size + len(block) > _SERIES_BYTES:
                found.append(Record(run_id, _encoding.batch(run_id, blocks), (), points))
                blocks, size, points = [], 0, 0
            blocks.append(block)
            size += len(block)
            points += count
        if blocks:
            found.append(Record(run_id, _encoding.batch(run_id, blocks), (), points))
        return found

    def delete_tag(self, run_id: str, key: str) -> Record:
        """Makes a record that removes a tag."""
        _rules.run_id(run_id)
        request = run_pb2.DeleteRunTagRequest(run_id=run_id, key=_rules.key(key))
        return _record(run_id, frame_pb2.Record(delete_tag=request))

    def inputs(self, run_id: str, inputs: Iterable[entities.DatasetInput | entities.Dataset]) -> Record:
        """Makes a record of data sets."""
        _rules.run_id(run_id)
        given = [dataset_input(one) for one in inputs]
        _rules.inputs(given)
        request = run_pb2.LogInputsRequest(run_id=run_id, inputs=given)
        return _record(run_id, frame_pb2.Record(inputs=request))

    def finish(self, run_id: str, status: str | None, end_time: int | None) -> Record:
        """Makes a record that ends a run."""
        _rules.run_id(run_id)
        number = final_status(status or "FINISHED")
        at = self._now() if end_time is None else _values.integer("end_time", end_time)
        _rules.end_time(at, "end_time")
        request = run_pb2.FinishRunRequest(run_id=run_id, status=number, end_time=_convert.timestamp(at))
        return Record(run_id, frame_pb2.Record(finish=request).SerializeToString(), ends=True)

    def begin(
        self,
        experiment_id: str | None,
        experiment_name: str | None,
        *,
        run_id: str | None,
        run_name: str | None,
        start_time: int | None,
        parent_run_id: str | None,
        params: Pairs,
        tags: Pairs,
    ) -> tuple[Begin, list[Record]]:
        """Makes what begins a run, with an id and a name made up here unless they are given.

        Returns:
            How it begins, and the records to log for that.
        """
        if (experiment_id is None) == (experiment_name is None):
            raise ValueError("a run begins in an experiment: give either its id or its name")
        given, named = params_of(params), tags_of(tags)
        _rules.pairs(given, "params", _rules.MOST_PARAM)
        _rules.pairs(named, "tags", _rules.MOST_TAG)
        name = run_name or readable(self._chance)
        _rules.name(name)
        if experiment_name is not None:
            _rules.name(experiment_name, "experiment_name")
        else:
            _rules.experiment_id(experiment_id)
        at = self._now() if start_time is None else _values.integer("start_time", start_time)
        _rules.end_time(at, "start_time")
        request = run_pb2.CreateRunRequest(
            experiment_id=experiment_id or "",
            run_id=_rules.run_id(run_id) if run_id else uuid7().hex,
            name=name,
            start_time=_convert.timestamp(at),
            parent_run_id=_rules.run_id(parent_run_id) if parent_run_id else "",
            params=given,
            tags=named,
        )
        whole = frame_pb2.BeginRun(run=request, experiment_name=experiment_name or "")
        begin = beginning(whole)
        # An empty record names the run, which has its begin record written.
        records = [Record(request.run_id, b"")]
        if begin.message is not whole:
            records.append(self.batch(request.run_id, None, params, tags))
        return begin, records

    def resume(self, run_id: str, run_name: str | None) -> Record:
        """Makes a record that has a run go on."""
        _rules.run_id(run_id)
        fields = ["status", "name"] if run_name else ["status"]
        if run_name:
            _rules.name(run_name)
        request = run_pb2.UpdateRunRequest(
            run_id=run_id,
            name=run_name or "",
            status=run_pb2.RUN_STATUS_RUNNING,
            update_mask=FieldMask(paths=fields),
        )
        return _record(run_id, frame_pb2.Record(update=request))


def beginning(whole: frame_pb2.BeginRun) -> Begin:
    """Makes what is said wherever a segment first names a run.

    Args:
        whole: What begins the run.

    Returns:
        The same, without its params and tags where they are many: these are said once, in another record.
    """
    begin = Begin(whole)
    if len(begin.data) <= MOST_BEGIN_BYTES:
        return begin
    small = frame_pb2.BeginRun()
    small.CopyFrom(whole)
    del small.run.params[:]
    del small.run.tags[:]
    return Begin(small)
