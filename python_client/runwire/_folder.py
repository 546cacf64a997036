"""The files by which the server of a data folder and the clients of that folder find each other.

Both sides import this, so that there is one place that names them.
"""

from __future__ import annotations

from typing import Final

# Held exclusively by the server that owns the folder, as long as it lives.
OWNER_LOCK: Final = "runwire.lock"
# Held shared while a client joins, which also sets the file's time; held exclusively while a client
# starts a server, and by a server that leaves because nobody needs it.
START_LOCK: Final = "start.lock"
# Where the owner listens: {"address": "unix:/run/user/1000/runwire/0123.sock", "pid": 123}.
POINTER: Final = "server.json"
# What a server that a client started has to say.
LOG: Final = "server.log"

# Bytes that a socket's path may have: sockaddr_un holds 108 with the NUL behind it.
MAX_SOCKET_PATH: Final = 107
