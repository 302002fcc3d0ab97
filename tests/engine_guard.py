"""Run an engine for as long as a FIFO stays open on its other side, then kill it. Standard library alone.

    python engine_guard.py FIFO COMMAND...

The kernel closes the other side when its holder ends, also by SIGKILL: no polling, no engine left behind.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading


def main(fifo: str, *command: str) -> int:
    # Opened without waiting: if nobody holds the other side any more, the first read says so.
    descriptor = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(descriptor, True)
    with subprocess.Popen(command) as engine:
        threading.Thread(target=lambda: (os.read(descriptor, 1), engine.kill()), daemon=True).start()
        return engine.wait()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
