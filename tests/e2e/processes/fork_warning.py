"""Forks as a program with one thread of its own, then as one with two: only then Python 3.12 may warn."""

import os
import threading
import time

from asking import ask


def fork():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


ask("parent")
fork()
time.sleep(0.5)
fork()
threading.Thread(target=time.sleep, args=(0.5,), daemon=True).start()
fork()
