"""Calls from five greenlets: ``green.py LIBRARY WHEN``.

WHEN the library patches the standard library: ``before`` everything else; once the client is ``built``; once it has
``called``; or ``before``, and a forked child calls as well (``forks``).
"""

import os
import sys
import threading


def patch(library):
    if library == "gevent":
        from gevent import monkey

        monkey.patch_all()
    else:
        import eventlet

        eventlet.monkey_patch()


library, when = sys.argv[1:]
if when in ("before", "forks"):
    patch(library)

from asking import ask, client

if when == "built":
    client()
elif when == "called":
    ask("early")
if when in ("built", "called"):
    patch(library)

threads = [threading.Thread(target=ask, args=(f"greenlet-{number}",)) for number in range(5)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()

if when == "forks":
    pid = os.fork()
    if pid == 0:
        ask("child")
        os._exit(0)
    print("child ended with", os.waitpid(pid, 0)[1])
print("done")
