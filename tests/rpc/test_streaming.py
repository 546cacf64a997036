"""Streams of frames: each frame once, whatever is sent again, lost, or said by two clients."""

from __future__ import annotations

import pytest
from tests.rpc.asking import Api, fresh
from tests.rpc.streaming import counts, opening_fails, points, reasons, writing
from tests.support.frames import (
    Cutter,
    Frame,
    FrameStream,
    batch,
    begin,
    block,
    finish,
    group_hash,
    new_id,
    record,
)

from runwire.v1 import experiment_pb2, frame_pb2, metric_pb2, run_pb2, server_pb2

WIDE = [f"layer.{k}" for k in range(12)]


class TestTheWay:
    """From hello to the half-close."""

    def test_a_run_from_begin_to_finish(self, api: Api) -> None:
        run_id, name = new_id(), fresh("streamed")
        with writing(api) as writer:
            assert writer.stream.welcome.epoch == 1
            assert writer.stream.welcome.window_bytes == 8 * 2**20
            writer.sends(begin(run_id, name, name="a run", params=[{"key": "lr", "value": "1"}]))
            writer.sends(points(run_id, 0.5, 0.25, 0.125))
            writer.sends(
                record(batch={"run_id": run_id, "tags": [{"key": "a", "value": "b"}]}),
                record(delete_tag={"run_id": run_id, "key": "not there"}),
                record(update={"run_id": run_id, "name": "b", "update_mask": {"paths": ["name"]}}),
                record(inputs={"run_id": run_id, "inputs": [{"dataset": {"name": "d", "digest": "1"}}]}),
            )
            writer.sends(finish(run_id))
            assert writer.stream.crc == writer.cut[-1].crc
            assert writer.stream.rejections == []
        run = api.run(run_id)
        assert (run.name, run.status) == ("b", run_pb2.RUN_STATUS_FINISHED)
        assert [(p.key, p.value) for p in run.params] == [("lr", "1")]
        assert [(t.key, t.value) for t in run.tags] == [("a", "b")]
        assert [i.dataset.name for i in run.inputs] == ["d"]
        assert counts(api, run_id) == {"loss": 3}
        assert run.metrics[0].value == 0.125
        experiment = api(experiment_pb2.GetExperimentRequest(name=name)).experiment
        assert run.experiment_id == experiment.experiment_id

    def test_half_closing_stores_all_and_ends_well(self, api: Api) -> None:
        with writing(api) as writer:
            run_id = writer.begins()
            writer.stream.send(*[writer.frame(points(run_id, 1.0, first=i)) for i in range(200)])
            writer.stream.half_close()
            assert writer.stream.acked == 201
        assert counts(api, run_id) == {"loss": 200}

    def test_a_stream_that_says_nothing_ends_well(self, api: Api) -> None:
        assert list(api.method("StreamFrames")(iter([]))) == []

    def test_frames_of_a_broken_stream_count_once(self, api: Api) -> None:
        with writing(api) as writer:
            run_id = writer.begins()
            frames = [writer.frame(points(run_id, 1.0, first=i)) for i in range(100)]
            writer.stream.send(*frames)
            writer.stream.wait(10)
            welcome = writer.reopen(acked_sequence=writer.stream.acked, acked_crc=writer.stream.crc).welcome
            assert welcome.epoch == 2
            writer.stream.deliver(*writer.cut[welcome.committed_sequence - 1 :])
        assert counts(api, run_id) == {"loss": 100}

    def test_repeats_are_acknowledged_again(self, api: Api) -> None:
        with writing(api) as writer:
            run_id = writer.begins()
            writer.sends(points(run_id, 1.0))
            writer.stream.acked = 0
            writer.stream.deliver(writer.cut[0], writer.cut[1])
        assert counts(api, run_id) == {"loss": 1}

    def test_a_run_is_begun_twice_and_a_child_after_its_parent(self, api: Api) -> None:
        parent, child, name = new_id(), new_id(), fresh("family")
        with writing(api) as one, writing(api) as other:
            one.sends(begin(parent, name), points(parent, 1.0))
            other.sends(begin(parent, name), begin(child, name, parent_run_id=parent), points(child, 2.0))
            one.sends(begin(parent, name, name="ignored"))
            assert one.stream.rejections == other.stream.rejections == []
        assert api.run(child).parent_run_id == parent
        assert api.run(parent).name != "ignored"

    def test_a_child_that_comes_before_its_parent(self, api: Api) -> None:
        parent, child = new_id(), new_id()
        with writing(api) as writer:
            writer.sends(begin(child, parent_run_id=parent), points(child, 1.0), begin(parent))
            assert reasons(writer.stream) == [
                (child, "PARENT_RUN_INVALID", 1),
                (child, "RUN_NOT_FOUND", 1),
            ]
            writer.sends(begin(child, parent_run_id=parent), points(child, 1.0))
        assert counts(api, child) == {"loss": 1}

    def test_two_streams_and_a_batch_in_one_run(self, api: Api) -> None:
        with writing(api) as one, writing(api) as other:
            run_id = one.begins()
            for i in range(30):
                one.stream.send(one.frame(points(run_id, 1.0, 2.0, first=2 * i)))
                other.stream.send(other.frame(points(run_id, 3.0, key="other", first=i)))
                if i % 10 == 0:
                    block_ = {"keys": ["batch"], "steps": {"steps": [i]}, "timestamps_ms": [1], "values": [1]}
                    api(run_pb2.LogBatchRequest(run_id=run_id, blocks=[block_], request_id=f"{run_id}-{i}"))
            one.stream.wait(31)
            other.stream.wait(30)
        assert counts(api, run_id) == {"loss": 60, "other": 30, "batch": 3}


class TestDisagreements:
    """What ends a stream, and that nothing of it is stored."""

    def test_a_gap(self, api: Api) -> None:
        with writing(api) as writer:
            run_id = writer.begins()
            kept, _, beyond = (writer.frame(points(run_id, 1.0)) for _ in range(3))
            writer.stream.send(kept, beyond)
            failure = writer.fails()
            assert failure.reason == "FRAME_OUT_OF_ORDER"
            assert failure.metadata == {"sequence": "4", "expected_sequence": "3"}
            assert writer.stream.acked == 2
        assert counts(api, run_id) == {"loss": 1}

    @pytest.mark.parametrize("sequence", [0, -1])
    def test_no_sequence(self, api: Api, sequence: int) -> None:
        with writing(api) as writer:
            frame = frame_pb2.Frame(sequence=sequence, payload=b"x")
            writer.stream.send_requests([metric_pb2.StreamFramesRequest(frame=frame).SerializeToString()])
            assert writer.fails().metadata["field"] == "frame.sequence"

    def test_the_largest_sequence(self, api: Api) -> None:
        with writing(api) as writer:
            writer.stream.send(Frame(2**63 - 1, 0, b""))
            assert writer.fails().reason == "FRAME_OUT_OF_ORDER"

    def test_another_history(self, api: Api) -> None:
        with writing(api) as writer:
            run_id = writer.begins()
            writer.stream.send(Frame(2, 4711, writer.frame(points(run_id, 1.0)).payload))
            assert writer.fails().reason == "WRITER_DIVERGED"
            writer.reopen(acked_sequence=1, acked_crc=writer.cut[0].crc)
            writer.stream.send(Frame(1, 0, b"something else"))
            assert writer.fails().reason == "WRITER_DIVERGED"
            opening_fails(api, writer.id, "WRITER_DIVERGED", acked_sequence=1, acked_crc=5)
            writer.reopen().deliver(writer.cut[1])
        assert counts(api, run_id) == {"loss": 1}

    def test_a_server_that_lacks_what_it_acknowledged(self, api: Api) -> None:
        unknown = opening_fails(api, new_id(), "WRITER_UNKNOWN", acked_sequence=812)
        assert unknown.metadata["acked_sequence"] == "812"
        with writing(api) as writer:
            writer.begins()
            failure = opening_fails(api, writer.id, "SERVER_BEHIND", acked_sequence=9)
            assert failure.metadata == {
                "writer_id": writer.id,
                "acked_sequence": "9",
                "committed_sequence": "1",
            }
            # A hello that is refused fences nobody.
            writer.begins()

    @pytest.mark.parametrize("writer_id", ["", "x" * 32, "A" * 32, "0" * 31])
    def test_no_writer_id(self, api: Api, writer_id: str) -> None:
        hello = frame_pb2.Hello(writer_id=writer_id)
        assert api.bad_field(metric_pb2.AppendFramesRequest(hello=hello), "hello.writer_id")

    def test_no_hello(self, api: Api) -> None:
        requests = iter([metric_pb2.StreamFramesRequest(confirmed_through=1)])
        with pytest.raises(Exception, match="hello"):
            list(api.method("StreamFrames")(requests))

    def test_a_second_hello(self, api: Api) -> None:
        with writing(api) as writer:
            hello = frame_pb2.Hello(writer_id=writer.id)
            writer.stream.send_requests([metric_pb2.StreamFramesRequest(hello=hello).SerializeToString()])
            assert writer.fails().reason == "INVALID_FIELD"

    def test_the_older_stream_is_fenced(self, api: Api) -> None:
        with writing(api) as writer, writing(api, writer.id) as newer:
            run_id = newer.begins()
            writer.stream.send(writer.frame(points(run_id, 1.0)))
            failure = writer.fails()
            assert (failure.reason, failure.metadata["epoch"]) == ("WRITER_FENCED", "2")
            newer.sends(points(run_id, 2.0))
            older = {"writer_id": writer.id, "epoch": 1}
            api.refused(
                metric_pb2.AppendFramesRequest(**older), "FAILED_PRECONDITION", "WRITER_FENCED", epoch="2"
            )
        assert counts(api, run_id) == {"loss": 1}

    def test_a_replayable_writer_sends_the_same_again(self, api: Api) -> None:
        writer_id, run_id = new_id(), new_id()
        for attempt in range(3):
            with writing(api, writer_id, replayable=True) as writer:
                begun = begin(run_id, start_time={"seconds": 1 + attempt})
                frames = [writer.frame(begun), *(writer.frame(points(run_id, i)) for i in range(5 + attempt))]
                known = writer.stream.welcome.committed_sequence
                writer.stream.deliver(*frames[known:], *([] if attempt else frames[2:4]))
        assert counts(api, run_id) == {"loss": 7}


class TestGroups:
    """Wide blocks by the hash of their keys."""

    def test_declared(self, api: Api) -> None:
        with writing(api) as writer:
            run_id = writer.begins()
            name = writer.stream.declare(WIDE)
            writer.sends(batch(run_id, block(name, range(24), times=[1, 2])))
            # The run knows it now, also on a stream that has not declared it.
            writer.reopen()
            writer.sends(batch(run_id, block(name, range(12), times=[3], first=2)))
        assert counts(api, run_id) == dict.fromkeys(WIDE, 3)
        assert api.history(run_id, keys=["layer.11"])[0].block.values == [11, 23, 11]

    def test_unknown_with_frames_before_and_behind(self, api: Api) -> None:
        with writing(api) as writer:
            run_id = writer.begins()
            frames = [
                writer.frame(points(run_id, 1.0)),
                writer.frame(
                    points(run_id, 2.0), batch(run_id, block(group_hash(WIDE), range(12), times=[1]))
                ),
                writer.frame(points(run_id, 3.0)),
            ]
            writer.stream.send(*frames)
            failure = writer.fails()
            assert failure.reason == "GROUP_UNKNOWN"
            assert failure.metadata == {"run_id": run_id, "group": group_hash(WIDE).hex()}
            assert writer.stream.acked == 2
            assert counts(api, run_id) == {"loss": 1}
            writer.reopen().declare(WIDE)
            writer.stream.deliver(*frames[1:])
        assert counts(api, run_id) == {"loss": 3, **dict.fromkeys(WIDE, 1)}

    def test_a_wrong_hash(self, api: Api) -> None:
        with writing(api) as writer:
            writer.stream.declare(WIDE, b"0" * 16)
            assert writer.fails().metadata["field"] == "declare.hash"

    @pytest.mark.parametrize("keys", [WIDE[:8], [*WIDE, WIDE[0]], [*WIDE, "a//b"]])
    def test_unsound_keys_are_rejected_where_they_are_used(self, api: Api, keys: list[str]) -> None:
        with writing(api) as writer:
            run_id = writer.begins()
            name = writer.stream.declare(keys)
            writer.sends(points(run_id, 1.0), batch(run_id, block(name, range(len(keys)), times=[1])))
            assert reasons(writer.stream) == [(run_id, "INVALID_FIELD", 1)]
        assert counts(api, run_id) == {"loss": 1}

    def test_too_many(self, api: Api) -> None:
        with writing(api) as writer:
            for i in range(1_001):
                writer.stream.declare([f"{i}.{k}" for k in range(9)])
            failure = writer.fails()
            assert (failure.reason, failure.metadata["limit"]) == ("LIMIT_EXCEEDED", "max_stream_groups")


class TestRejections:
    """Told once acknowledged, and in each welcome until they are confirmed."""

    def test_until_they_are_confirmed(self, api: Api) -> None:
        with writing(api) as writer:
            run_id, stranger = writer.begins(), new_id()
            writer.sends(points(stranger, 1.0, 2.0), points(run_id, 1.0), points(stranger, 3.0))
            writer.sends(points(stranger, 1.0))
            assert reasons(writer.stream) == [(stranger, "RUN_NOT_FOUND", 2), (stranger, "RUN_NOT_FOUND", 1)]
            first = writer.stream.rejections[0]
            assert (first.points, dict(first.metadata)) == (3, {"run_id": stranger})
            assert "no run has the id" in first.message
            (kept,) = writer.reopen().welcome.rejections
            assert (kept.first_sequence, kept.last_sequence, kept.records, kept.points) == (2, 3, 3, 4)
            # It goes on beyond what is confirmed here.
            writer.stream.confirm(2)
            writer.begins()
            assert len(writer.reopen().welcome.rejections) == 1
            writer.stream.confirm(3)
            writer.begins()
            assert len(writer.reopen().welcome.rejections) == 0
        assert counts(api, run_id) == {"loss": 1}

    def test_more_than_can_be_told(self, api: Api) -> None:
        with writing(api) as writer:
            writer.sends(*[points(new_id(), 1.0) for _ in range(1_003)])
            told = writer.stream.rejections
            assert len(told) == 1_001
            assert {one.records for one in told if one.run_id} == {1}
            assert [(one.records, one.points, one.reason) for one in told if not one.run_id] == [
                (3, 3, "LIMIT_EXCEEDED")
            ]
            kept = writer.reopen().welcome.rejections
            assert sorted(map(str, kept)) == sorted(map(str, told))
            writer.stream.confirm(1)
            writer.begins()
            assert len(writer.reopen().welcome.rejections) == 0

    def test_a_param_that_would_change(self, api: Api) -> None:
        with writing(api) as writer:
            run_id = new_id()
            writer.sends(
                begin(run_id, params=[{"key": "a", "value": "1"}]),
                record(batch={"run_id": run_id, "params": [{"key": "a", "value": "2"}]}),
                record(batch={"run_id": run_id, "params": [{"key": "b", "value": "2"}]}),
            )
            both = {"run_id": run_id, "params": [{"key": "c", "value": "1"}, {"key": "b", "value": "1"}]}
            writer.sends(record(batch=both), points(run_id, 1.0))
            assert reasons(writer.stream) == [(run_id, "PARAM_IMMUTABLE", 1), (run_id, "PARAM_IMMUTABLE", 1)]
            assert dict(writer.stream.rejections[1].metadata)["key"] == "b"
        assert [(p.key, p.value) for p in api.run(run_id).params] == [("a", "1"), ("b", "2")]

    def test_runs_deleted_restored_and_purged_under_a_live_stream(self, api: Api) -> None:
        with writing(api) as writer:
            run_id, other = writer.begins(), writer.begins()
            writer.sends(points(run_id, 1.0))
            api(run_pb2.DeleteRunRequest(run_id=run_id))
            writer.sends(points(run_id, 2.0), points(other, 1.0), begin(run_id))
            api(run_pb2.RestoreRunRequest(run_id=run_id))
            writer.sends(points(run_id, 3.0))
            assert counts(api, run_id) == {"loss": 2}
            api(run_pb2.DeleteRunRequest(run_id=run_id))
            api(server_pb2.PurgeRequest())
            writer.sends(points(run_id, 4.0), begin(run_id), points(other, 2.0))
            assert reasons(writer.stream) == [
                (run_id, "RUN_DELETED", 1),
                (run_id, "RUN_PURGED", 2),
            ]
        assert counts(api, other) == {"loss": 2}

    def test_experiments_deleted_under_a_live_stream(self, api: Api) -> None:
        experiment_id = api.new_experiment(name := fresh("doomed"))
        with writing(api) as writer:
            run_id = writer.begins(experiment_id=experiment_id)
            api(experiment_pb2.DeleteExperimentRequest(experiment_id=experiment_id))
            writer.sends(points(run_id, 1.0), begin(new_id(), name), begin(new_id(), experiment_id="987654"))
            assert [r.reason for r in writer.stream.rejections] == [
                "EXPERIMENT_DELETED",
                "EXPERIMENT_DELETED",
                "EXPERIMENT_NOT_FOUND",
            ]
            api(experiment_pb2.RestoreExperimentRequest(experiment_id=experiment_id))
            writer.sends(points(run_id, 1.0))
        assert counts(api, run_id) == {"loss": 1}


def test_many_streams_at_once(api: Api) -> None:
    run_id = new_id()
    with writing(api) as first:
        first.sends(begin(run_id))
        cutters = [Cutter() for _ in range(12)]
        streams = [FrameStream(api.channel, cutter.writer_id) for cutter in cutters]
        for i in range(20):
            for k, (cutter, stream) in enumerate(zip(cutters, streams, strict=True)):
                stream.send(cutter.cut(points(run_id, float(i), key=f"writer {k}", first=i)))
        for stream in streams:
            stream.wait(20)
            stream.half_close()
    assert counts(api, run_id) == {f"writer {k}": 20 for k in range(12)}
