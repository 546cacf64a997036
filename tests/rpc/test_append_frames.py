"""AppendFrames: the protocol of streams by single calls."""

from __future__ import annotations

from tests.rpc.asking import Api
from tests.rpc.streaming import append, counts, points, writing
from tests.support.frames import Cutter, Frame, batch, begin, block, group_hash, new_id

from runwire.v1 import frame_pb2, metric_pb2

WIDE = [f"layer.{k}" for k in range(12)]


def test_a_run(api: Api) -> None:
    cutter, run_id = Cutter(), new_id()
    hello = frame_pb2.Hello(writer_id=cutter.writer_id)
    first = append(api, hello=hello, frames=[cutter.cut(begin(run_id)).message])
    assert (first.welcome.epoch, first.ack.sequence, first.ack.crc) == (1, 1, cutter.crc)
    call = {"writer_id": cutter.writer_id, "epoch": 1}
    group = frame_pb2.Group(hash=group_hash(WIDE), keys=WIDE)
    frames = [
        cutter.cut(points(run_id, 1.0)).message,
        cutter.cut(batch(run_id, block(group.hash, range(12), times=[1]))).message,
        cutter.cut(points(new_id(), 1.0)).message,
    ]
    answer = append(api, **call, groups=[group], frames=frames)
    assert (answer.ack.sequence, answer.ack.crc) == (4, cutter.crc)
    assert [r.reason for r in answer.ack.rejections] == ["RUN_NOT_FOUND"]
    # Lost, and sent again.
    again = append(api, **call, groups=[group], frames=frames)
    assert (again.ack.sequence, list(again.ack.rejections)) == (4, [])
    assert append(api, **call, confirmed_through=4).ack.sequence == 4
    assert len(append(api, hello=hello).welcome.rejections) == 0
    assert counts(api, run_id) == {"loss": 1, **dict.fromkeys(WIDE, 1)}


def test_frames_before_the_one_at_fault_are_stored(api: Api) -> None:
    cutter, run_id = Cutter(), new_id()
    hello = frame_pb2.Hello(writer_id=cutter.writer_id)
    frames = [cutter.cut(begin(run_id)), cutter.cut(points(run_id, 1.0)), Frame(9, 0, b"")]
    call = metric_pb2.AppendFramesRequest(hello=hello, frames=[frame.message for frame in frames])
    api.refused(call, "FAILED_PRECONDITION", "FRAME_OUT_OF_ORDER", expected_sequence="3")
    assert counts(api, run_id) == {"loss": 1}


def test_a_writer_that_never_said_hello(api: Api) -> None:
    call = metric_pb2.AppendFramesRequest(writer_id=new_id(), epoch=1)
    api.refused(call, "FAILED_PRECONDITION", "WRITER_UNKNOWN")


def test_beside_a_stream_of_the_same_writer(api: Api) -> None:
    with writing(api) as writer:
        run_id = writer.begins()
        hello = frame_pb2.Hello(writer_id=writer.id)
        append(api, hello=hello, frames=[writer.frame(points(run_id, 1.0)).message])
        writer.stream.send(writer.frame(points(run_id, 2.0)))
        # The stream has not heard of the second frame.
        assert writer.fails().reason in {"FRAME_OUT_OF_ORDER", "WRITER_FENCED"}
    assert counts(api, run_id) == {"loss": 1}
