"""A planted bug: the server chokes on what is named so, in each place that a frame passes."""

from runwire_server.domain import frames
from runwire_server.storage import metrics, run_values

_read, _set_tags, _append = frames.read, run_values.set_tags, metrics.append


def _choking_read(sequence, payload, groups):
    if b"planted: read" in payload:
        raise RuntimeError("planted")
    return _read(sequence, payload, groups)


def _choking_set_tags(connection, row, tags):
    _set_tags(connection, row, tags)
    for tag in tags:
        if tag.key == "planted: record":
            raise ValueError("planted")
        if tag.key == "planted: change":
            raise RuntimeError("planted")


def _choking_append(connection, run_id, row, blocks):
    stored = _append(connection, run_id, row, blocks)
    if any("planted: append" in block.keys for block in blocks):
        raise RuntimeError("planted")
    return stored


frames.read, run_values.set_tags, metrics.append = _choking_read, _choking_set_tags, _choking_append
