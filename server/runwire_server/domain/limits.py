"""How much is allowed, for GetServerInfo and for all who check it."""

from __future__ import annotations

from runwire.v1 import server_pb2

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
MAX_BATCH_POINTS = 10_000
MAX_BATCH_PARAMS = 1_000
MAX_BATCH_TAGS = 1_000
MAX_INPUTS = 100
MAX_KEY = 250
MAX_PARAM_VALUE = 6_000
MAX_RUN_TAG_VALUE = 8_000
MAX_EXPERIMENT_TAG_VALUE = 20_000
MAX_NAME = 500
MAX_PAGE_SIZE = 1_000
MAX_FILTER_BYTES = 16 * 1024
MAX_EXPERIMENTS_SEARCHED = 100
MAX_ORDER_KEYS = 10
MAX_RUNS_READ = 100
MAX_KEYS_READ = 1_000
MAX_CURVES = 100
MAX_CURVE_POINTS = 10_000
MAX_PATHS = 100
MAX_SOURCE = 65_535
MAX_SCHEMA = 1_048_575
# A frame is one transaction's share: larger ones would make other writers wait.
MAX_FRAME_BYTES = 2 * 1024 * 1024
# Records of a frame that hold more than points, and runs that it names: each costs statements.
MAX_FRAME_CHANGES = 10_000
# What bounds the server's memory: a stream's unacknowledged payloads, and the keys that it has declared.
MAX_STREAM_BYTES = 8 * 1024 * 1024
MAX_STREAM_GROUPS = 1_000
MAX_GROUP_KEYS = 10_000
MAX_RUN_SERIES = 1_000_000
MAX_BEATS = 1_000
INT64_MAX = 2**63 - 1


def in_force() -> server_pb2.Limits:
    """Returns the limits in force, for GetServerInfo."""
    return server_pb2.Limits(
        max_message_bytes=MAX_MESSAGE_BYTES,
        max_batch_points=MAX_BATCH_POINTS,
        max_batch_params=MAX_BATCH_PARAMS,
        max_batch_tags=MAX_BATCH_TAGS,
        max_key_length=MAX_KEY,
        max_param_value_length=MAX_PARAM_VALUE,
        max_run_tag_value_length=MAX_RUN_TAG_VALUE,
        max_experiment_tag_value_length=MAX_EXPERIMENT_TAG_VALUE,
        max_name_length=MAX_NAME,
        max_page_size=MAX_PAGE_SIZE,
        max_filter_bytes=MAX_FILTER_BYTES,
        max_frame_bytes=MAX_FRAME_BYTES,
        max_stream_bytes=MAX_STREAM_BYTES,
        max_group_keys=MAX_GROUP_KEYS,
        max_stream_groups=MAX_STREAM_GROUPS,
        max_run_series=MAX_RUN_SERIES,
        max_frame_changes=MAX_FRAME_CHANGES,
    )
