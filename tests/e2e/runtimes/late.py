"""Calls when the interpreter is about to end: ``late.py WHERE WHEN``.

WHERE: in an ``atexit`` handler, in ``__del__`` of an object that a module holds, in a ``thread`` that runs on when the
main program has ended, or in one that is a ``daemon`` and still in its call then. WHEN the client is built: ``first``
thing, with a call made; or ``there``, where by Python 3.12 no thread can be started any more.
"""

import atexit
import sys
import threading
import time

where, when = sys.argv[1:]


def late():
    try:
        ask("late")
        print("asked", flush=True)
    except Exception as error:  # openai imports in the middle of a call, which is over by the time of ``__del__``
        print(type(error).__name__, error, flush=True)


class Late:
    def __del__(self):
        late()


if where == "atexit":
    atexit.register(late)  # before the agent's own handler, so it runs after that one

from asking import ask

if when == "first":
    ask("early")

if where == "del":
    kept = Late()
elif where == "thread":

    def wait_and_ask():
        while threading.main_thread().is_alive():
            time.sleep(0.01)
        time.sleep(0.3)  # the interpreter waits for this thread by now
        late()

    threading.Thread(target=wait_and_ask).start()
elif where == "daemon":
    threading.Thread(target=ask, args=("never",), daemon=True).start()
    time.sleep(0.5)
print("main ended", flush=True)
