"""A planted bug: the server believes what a client says of its writer, and stores what comes."""

import sqlalchemy as sa
from sqlalchemy import bindparam

from runwire_server.domain import writers
from runwire_server.storage import writers as storage
from runwire_server.storage.engine import HotStatement
from runwire_server.storage.schema import metric_writer

_opened = writers.opened


def _believing(stored, hello):
    state = _opened(stored, hello)
    return writers.Writer(state.epoch, hello.acked_sequence, hello.acked_crc, hello.replayable)


def _advance(_):
    c = metric_writer.c
    anywhere = (c.sequence == bindparam("before")) | (c.sequence != bindparam("before"))
    return (
        sa.update(metric_writer)
        .where(c.id == bindparam("writer"), c.epoch == bindparam("at_epoch"), anywhere)
        .values(sequence=bindparam("after"), crc=bindparam("to_crc"), last_used_time=bindparam("now"))
    )


writers.opened = _believing
storage._ADVANCE = HotStatement(_advance)
