"""A planted bug: frames are acknowledged when their statements are done, a moment before the commit."""

import asyncio
import time

from runwire_server.storage import writers

_init = writers.SqlWriters.__init__


class _Hasty:
    def __init__(self, engine):
        self._engine = engine
        self.read = engine.read
        self._committing = set()

    async def write(self, unit):
        loop = asyncio.get_running_loop()
        early = loop.create_future()

        def hasty(connection):
            result = unit(connection)
            loop.call_soon_threadsafe(early.set_result, result)
            time.sleep(0.03)
            return result

        commit = asyncio.ensure_future(self._engine.write(hasty))
        self._committing.add(commit)
        commit.add_done_callback(self._committing.discard)
        await asyncio.wait([early, commit], return_when=asyncio.FIRST_COMPLETED)
        return early.result() if early.done() else commit.result()


def _hasty_init(self, engine, *arguments):
    _init(self, _Hasty(engine), *arguments)


writers.SqlWriters.__init__ = _hasty_init
