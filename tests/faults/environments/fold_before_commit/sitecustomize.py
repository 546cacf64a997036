"""A planted bug: points are folded when their statements are done, a moment before the commit."""

import asyncio
import time

from runwire_server.metrics import summaries
from runwire_server.storage import frame_changes

_start, _apply = summaries.Summaries.__init__, frame_changes.FrameChanges.apply
_folding = []
_times = []


def _known(self, *arguments):
    _start(self, *arguments)
    _folding[:] = [self, asyncio.get_running_loop()]


def _hasty(self, frames):
    appended = _apply(self, frames)
    memory, loop = _folding
    asyncio.run_coroutine_threadsafe(memory.absorb(appended), loop).result()
    _times.append(1)
    # Time enough for a reader to see it; those of the last commits, before which the server dies, have more.
    time.sleep(0.03 if len(_times) < 45 else 0.3)
    return appended


summaries.Summaries.__init__ = _known
frame_changes.FrameChanges.apply = _hasty
