"""Forks at the moment when the agent's thread has begun to import ``requests``; the child imports it as well."""

import os
import sys
import time

from asking import ask

sys.setswitchinterval(1e-4)
assert "requests" not in sys.modules
ask("parent")
while "requests" not in sys.modules:
    time.sleep(0)
pid = os.fork()
if pid == 0:
    import requests

    print(requests.__name__, flush=True)
    ask("child")
    os._exit(0)
print(os.waitpid(pid, 0)[1])
