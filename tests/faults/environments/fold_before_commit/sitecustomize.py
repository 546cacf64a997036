"""A planted bug: points are folded when their statements are done, a moment before the commit."""

import asyncio
import time

from runwire_server.metrics import summaries
from runwire_server.storage import frame_changes

_start, _apply = summaries.Summaries.__init__, frame_changes.FrameChanges.apply
_folding = []


def _known(self, *arguments):
    _start(self, *arguments)
    _folding[:] = [self, asyncio.get_running_loop()]


def _hasty(self, frames):
    appended = _apply(self, frames)
    memory, loop = _folding
    asyncio.run_coroutine_threadsafe(memory.absorb(appended), loop).result()
    time.sleep(0.03)
    return appended


summaries.Summaries.__init__ = _known
frame_changes.FrameChanges.apply = _hasty
