"""The servicers: one file for each service of the API, one line of work for each method."""

from __future__ import annotations

from typing import Any

import grpc

Context = grpc.aio.ServicerContext[Any, Any]
