"""The limit of the transport: a grpc.aio server whose handlers take bytes and return none.

Run as a process of its own; it prints its port and serves until its standard input ends.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import grpc

from runwire.v1 import run_pb2

# Those of the real server.
OPTIONS = (("grpc.max_receive_message_length", 32 * 1024 * 1024), ("grpc.so_reuseport", 0))


async def _nothing(data: bytes, context: Any) -> bytes:
    return b""


async def serve() -> None:
    """Serves the methods of RunService, all alike."""
    service = run_pb2.DESCRIPTOR.services_by_name["RunService"]
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(_nothing)
    handlers = {method.name: handler for method in service.methods}
    server = grpc.aio.server(options=OPTIONS)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    # Ends with the benchmark, however that ends.
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(0)


if __name__ == "__main__":
    asyncio.run(serve())
