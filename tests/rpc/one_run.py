"""A process of a job whose processes create one run together; started by `test_at_once.py`."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import grpc

from runwire.v1 import run_pb2, run_pb2_grpc


def main(address: str, run_id: str, channels: int) -> None:
    """Creates the run over some channels at once, when told to; prints the run's name for each."""
    # Channels share their connection otherwise.
    own = (("grpc.use_local_subchannel_pool", 1),)
    opened = [grpc.insecure_channel(address, own) for _ in range(channels)]
    for channel in opened:
        grpc.channel_ready_future(channel).result(120)
    print("ready", flush=True)
    sys.stdin.readline()

    def create(number: int) -> str:
        request = run_pb2.CreateRunRequest(
            experiment_id="0",
            run_id=run_id,
            allow_existing=True,
            tags=[{"key": "creator", "value": f"{sys.argv[4]}-{number}"}],
        )
        return run_pb2_grpc.RunServiceStub(opened[number]).CreateRun(request, timeout=120).run.name

    with ThreadPoolExecutor(channels) as pool:
        for name in pool.map(create, range(channels)):
            print(name)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
