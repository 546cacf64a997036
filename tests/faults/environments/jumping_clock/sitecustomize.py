"""A machine whose clock jumps: the file that JUMPING_CLOCK names holds the seconds by which it is wrong."""

import os
import time

_path, _time, _time_ns = os.environ["JUMPING_CLOCK"], time.time, time.time_ns


def _wrong() -> int:
    with open(_path) as file:
        return int(file.read() or 0)


time.time = lambda: _time() + _wrong()
time.time_ns = lambda: _time_ns() + _wrong() * 10**9
