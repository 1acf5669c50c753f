"""Processes made of this one: what a forked child must not inherit, and how a child that skips exit handlers delivers.

Before a fork every lock of ours is taken, so that none is inherited locked for good; the child drops the parent's
segment, thread and connections. Children of process pools end by ``os._exit``: each pool has an end of its own to hook.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Optional, Set

from hf_openobserve.process import diagnostics
from hf_openobserve.process.events import is_native

if TYPE_CHECKING:
    from hf_openobserve.pipeline.processor import RecordingProcessor

_TIMEOUT_S = 2.0
"""How long a fork waits for a lock. They are held for an import or a write: beyond that, something is stuck already."""


class Forks:
    """Follows the forks of this process: before anything is built the lock of activation, then the pipeline, too.

    activation_lock: returns the lock held while something is built. activation_in_child: gives the child one of its
    own.
    """

    def __init__(self, activation_lock: Callable[[], Any], activation_in_child: Callable[[], None]) -> None:
        self._activation_lock = activation_lock
        self._activation_in_child = activation_in_child
        self._processor: Optional[RecordingProcessor] = None
        self._at_exit: Callable[[], None] = activation_in_child
        self._following = False
        self._pools: Set[str] = set()
        """The process pools that know of us, see ``_follow_process_pools``."""
        self._held: Dict[int, List[Any]] = {}
        """Locks that a thread (by its ident) holds while it forks."""

    def follow(self) -> None:
        """From now on, before anything is built: while one thread activates, none may fork."""
        if hasattr(os, "register_at_fork") and not self._following:
            self._following = True
            os.register_at_fork(
                before=self._before, after_in_parent=self._after_in_parent, after_in_child=self._after_in_child
            )

    def follow_pipeline(self, processor: RecordingProcessor, at_exit: Callable[[], None]) -> None:
        """The pipeline is built: forks hold it still, and children of process pools call ``at_exit`` at their end."""
        self._processor, self._at_exit = processor, at_exit
        self._follow_process_pools()

    def _before(self) -> None:
        diagnostics.guarded("fork", self._follow_process_pools)
        diagnostics.guarded("fork", self._hold_still)

    def _hold_still(self) -> None:
        """Take every lock that a child would inherit locked for good, and wait for each of them no longer than bounded.

        Not those of gevent and eventlet. One that switched to another greenlet here, which forks as well, would leave
        that one waiting for ever on a lock that a fork hook of the standard library holds. What they guard switches
        nowhere.
        """
        held = self._held.setdefault(threading.get_ident(), [])
        for lock in self._locks():
            if is_native(lock) and lock.acquire(timeout=_TIMEOUT_S):
                held.append(lock)
        if self._processor is not None and self._processor.sender is not None:
            self._processor.sender.before_fork()

    def _locks(self) -> Iterator[Any]:
        yield self._activation_lock()
        if self._processor is not None:
            sender = self._processor.sender
            if sender is not None:
                yield sender.importing
            for store in self._processor.stores:
                yield store.lock

    def _after_in_parent(self) -> None:
        for lock in reversed(self._held.pop(threading.get_ident(), [])):
            diagnostics.guarded("fork", lock.release)
        if self._processor is not None and self._processor.sender is not None:
            diagnostics.guarded("fork", self._processor.sender.after_fork_in_parent)

    def _after_in_child(self) -> None:
        self._activation_in_child()
        self._held.clear()
        if self._processor is not None:
            diagnostics.guarded("fork", self._processor.after_fork_in_child)

    def _follow_process_pools(self) -> None:
        """Their forked children leave by ``os._exit``, past all exit handlers, but each has an end of its own."""
        if self._processor is None:
            return
        util = sys.modules.get("multiprocessing.util")
        if util is not None and "multiprocessing" not in self._pools:
            self._pools.add("multiprocessing")
            util.register_after_fork(self._processor, self._finalize_in_multiprocessing_child)
            if sys.modules["multiprocessing.process"].parent_process() is not None:
                self._finalize_in_multiprocessing_child(self._processor)
        celery_signals = sys.modules.get("celery.signals")
        if celery_signals is not None and "celery" not in self._pools:
            self._pools.add("celery")
            celery_signals.worker_process_shutdown.connect(self._celery_child_ends, weak=False)

    def _finalize_in_multiprocessing_child(self, _: Any) -> None:
        # A new one in each child: multiprocessing clears those of the parent first.
        util = sys.modules["multiprocessing.util"]
        util.Finalize(None, diagnostics.guarded, args=("exit", self._at_exit), exitpriority=0)

    def _celery_child_ends(self, **_: Any) -> None:
        # Before it says so to its parent, which then kills it.
        diagnostics.guarded("exit", self._at_exit)
