"""Waits for a signal in the way of ``sigwait``, which works while no thread is open for the signal."""

import os
import signal

from asking import ask

ask("parent")
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
os.kill(os.getpid(), signal.SIGTERM)
print(signal.sigwait({signal.SIGTERM}) == signal.SIGTERM)
