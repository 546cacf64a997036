"""The generated stubs, by the name of their service."""

from __future__ import annotations

from typing import Any

import grpc
import grpc.aio

from runwire.v1 import experiment_pb2_grpc, metric_pb2_grpc, run_pb2_grpc, server_pb2_grpc


def stubs(channel: grpc.Channel | grpc.aio.Channel) -> dict[str, Any]:
    """Makes the stubs of a channel; the generated classes serve both kinds.

    Args:
        channel: The channel.

    Returns:
        The stubs, by the name of their service.
    """
    return {
        "ExperimentService": experiment_pb2_grpc.ExperimentServiceStub(channel),
        "MetricService": metric_pb2_grpc.MetricServiceStub(channel),
        "RunService": run_pb2_grpc.RunServiceStub(channel),
        "ServerService": server_pb2_grpc.ServerServiceStub(channel),
    }
