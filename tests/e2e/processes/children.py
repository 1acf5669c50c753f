"""Makes children in each way named, one after the other: ``children.py PARENT END WAY...``.

PARENT: ``calls`` first, ``builds`` a client and calls not, or is ``idle``. END: how the parent leaves, by ``exit``, or
by ``_exit``, past its exit handlers. Each child makes one call, labelled by its way and its number.
"""

import concurrent.futures
import multiprocessing
import os
import signal
import subprocess
import sys
import time

from asking import ask, client


def killed(label):
    ask(label)
    os.kill(os.getpid(), signal.SIGKILL)


def by_process(method, labels, target=ask):
    children = [multiprocessing.get_context(method).Process(target=target, args=(label,)) for label in labels]
    for process in children:
        process.start()
    for process in children:
        process.join()


def by_executor(method, labels):
    with concurrent.futures.ProcessPoolExecutor(2, multiprocessing.get_context(method)) as executor:
        list(executor.map(ask, labels))


def by_pool(method, labels):
    # Leaving the block terminates the workers by SIGTERM, and most programs leave it so.
    with multiprocessing.get_context(method).Pool(2) as pool:
        pool.map(ask, labels, chunksize=1)


def by_os_fork(_, labels):
    for label in labels:
        pid = os.fork()
        if pid == 0:
            ask(label)
            os._exit(0)
        os.waitpid(pid, 0)


def wait_for_go(_method, _labels):
    # The test has something to do before the parent goes on.
    open("waiting", "w").close()
    while not os.path.exists("go"):
        time.sleep(0.01)


def by_subprocess(_, labels):
    for label in labels:
        subprocess.run([sys.executable, __file__, "child", label], check=True)


WAYS = {
    "process": by_process,
    "killed": lambda method, labels: by_process(method, labels, killed),
    "executor": by_executor,
    "pool": by_pool,
    "os.fork": by_os_fork,
    "subprocess": by_subprocess,
    "wait": wait_for_go,
}


def main(parent, end, *ways):
    if parent == "child":
        ask(end)
        return
    if parent == "calls":
        ask("parent")
    elif parent == "builds":
        client()
    for way in ways:
        kind, _, method = way.partition("/")
        WAYS[kind](method, [way + "-1", way + "-2"] if method == "fork" else [way + "-1"])
    if end == "_exit":
        os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
