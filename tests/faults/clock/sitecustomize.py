"""A wall clock that the program can set back: ``time.jump_back(seconds)``. Then whatever sitecustomize comes next.

The machine's own clock is not ours to change. As the first sitecustomize this runs before anything can have bound
``time.time`` or ``time.time_ns`` to a name of its own.
"""

import importlib.machinery
import importlib.util
import os
import sys
import time

_time, _time_ns = time.time, time.time_ns
_behind_s = [0]


def _jump_back(seconds):
    _behind_s[0] += seconds


time.time = lambda: _time() - _behind_s[0]
time.time_ns = lambda: _time_ns() - _behind_s[0] * 10**9
time.jump_back = _jump_back

_here = os.path.dirname(os.path.abspath(__file__))
# Others chain to the next sitecustomize too, and must not find this one again.
sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != _here]
_next = importlib.machinery.PathFinder.find_spec("sitecustomize")
if _next is not None:
    sys.modules["sitecustomize"] = _module = importlib.util.module_from_spec(_next)
    _next.loader.exec_module(_module)
