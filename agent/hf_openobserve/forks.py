"""Processes made of this one: what a forked child must not inherit, and how a child that skips exit handlers delivers.

Before a fork every lock of ours is taken, so that none is inherited locked for good; the child drops the parent's
segment, thread and connections. Children of process pools end by ``os._exit``: each pool has an end of its own to hook.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Optional, Set

from hf_openobserve import diagnostics
from hf_openobserve.outbox.events import is_native

if TYPE_CHECKING:
    from hf_openobserve.processor import RecordingProcessor

_TIMEOUT_S = 2.0
"""How long a fork waits for a lock. They are held for an import or a write: beyond that, something is stuck already."""

_processor: Optional[RecordingProcessor] = None
_at_exit: Callable[[], None]
_followed: Set[str] = set()
"""The process pools that know of us, see ``_follow_process_pools``."""
_held: Dict[int, List[Any]] = {}
"""Locks that a thread (by its ident) holds while it forks."""
_activation_lock: Callable[[], Any]
_activation_in_child: Callable[[], None]


def follow(activation_lock: Callable[[], Any], activation_in_child: Callable[[], None]) -> None:
    """Follow the forks of this process from now on, before anything is built: while one thread activates, none may fork.

    activation_lock: returns the lock held while something is built. activation_in_child: gives the child one of its own.
    """
    global _activation_lock, _activation_in_child
    _activation_lock, _activation_in_child = activation_lock, activation_in_child
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)


def follow_pipeline(processor: RecordingProcessor, at_exit: Callable[[], None]) -> None:
    """The pipeline is built: from now on forks hold it still, and children of process pools call ``at_exit`` at their end."""
    global _processor, _at_exit
    _processor, _at_exit = processor, at_exit
    _follow_process_pools()


def _before() -> None:
    diagnostics.guarded("fork", _follow_process_pools)
    diagnostics.guarded("fork", _hold_still)


def _hold_still() -> None:
    """Take every lock that a child would inherit locked for good, and wait for each of them no longer than bounded.

    Not those of gevent and eventlet. One that switched to another greenlet here, which forks as well, would leave that one
    waiting for ever on a lock that a fork hook of the standard library holds. What they guard switches nowhere.
    """
    held = _held.setdefault(threading.get_ident(), [])
    for lock in _locks():
        if is_native(lock) and lock.acquire(timeout=_TIMEOUT_S):
            held.append(lock)
    if _processor is not None and _processor.sender is not None:
        _processor.sender.before_fork()


def _locks() -> Iterator[Any]:
    yield _activation_lock()
    if _processor is not None:
        sender = _processor.sender
        if sender is not None:
            yield sender.importing
        for store in _processor.stores:
            yield store.lock


def _after_in_parent() -> None:
    for lock in reversed(_held.pop(threading.get_ident(), [])):
        diagnostics.guarded("fork", lock.release)
    if _processor is not None and _processor.sender is not None:
        diagnostics.guarded("fork", _processor.sender.after_fork_in_parent)


def _after_in_child() -> None:
    _activation_in_child()
    _held.clear()
    if _processor is not None:
        diagnostics.guarded("fork", _processor.after_fork_in_child)


def _follow_process_pools() -> None:
    """Their forked children leave by ``os._exit``, past all exit handlers, but each has an end of its own to hook into."""
    if _processor is None:
        return
    util = sys.modules.get("multiprocessing.util")
    if util is not None and "multiprocessing" not in _followed:
        _followed.add("multiprocessing")
        util.register_after_fork(_processor, _finalize_in_multiprocessing_child)
        if sys.modules["multiprocessing.process"].parent_process() is not None:
            _finalize_in_multiprocessing_child(_processor)
    celery_signals = sys.modules.get("celery.signals")
    if celery_signals is not None and "celery" not in _followed:
        _followed.add("celery")
        celery_signals.worker_process_shutdown.connect(_celery_child_ends, weak=False)


def _finalize_in_multiprocessing_child(_: Any) -> None:
    # A new one in each child: multiprocessing clears those of the parent first.
    sys.modules["multiprocessing.util"].Finalize(None, diagnostics.guarded, args=("exit", _at_exit), exitpriority=0)


def _celery_child_ends(**_: Any) -> None:
    # Before it says so to its parent, which then kills it.
    diagnostics.guarded("exit", _at_exit)
