"""Runs one command and prints what it cost: CPU seconds (user + system), peak memory in KiB, exit status.

Run with ``python -I -S``, and importing nothing that is not built in: a child's peak memory starts at that of the
process it was forked from, so this one must be smaller than anything it measures.
"""

import posix
import sys


def main():
    null = posix.open("/dev/null", posix.O_RDWR)
    quiet = [(posix.POSIX_SPAWN_DUP2, null, descriptor) for descriptor in (0, 1)]
    command = sys.argv[1:]
    pid = posix.posix_spawn(command[0], command, posix.environ, file_actions=quiet)
    _, status, usage = posix.wait4(pid, 0)
    print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss, status)


main()
