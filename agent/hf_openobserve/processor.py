"""The span processor: the way of an ended span, on the thread that ended it, to the disk.

read -> columns -> privacy -> encode -> append. No network, no lock held across I/O but that of one append (law 2), and
no exception that reaches the application (law 1).
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, List, Optional, Union

from opentelemetry.sdk.trace import SpanProcessor

from hf_openobserve import columns, diagnostics, privacy
from hf_openobserve.arm import HUGGINGFACE_HUB_INSTRUMENTOR, OPENAI_INSTRUMENTORS
from hf_openobserve.capture import calls, nesting
from hf_openobserve.outbox import otlp
from hf_openobserve.sdk_spans import SpanReader

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

    from hf_openobserve.outbox.memory import MemoryStore
    from hf_openobserve.outbox.sender import Sender
    from hf_openobserve.outbox.store import DirectoryStore


_CALLS = (*OPENAI_INSTRUMENTORS, HUGGINGFACE_HUB_INSTRUMENTOR)
"""Scopes whose spans are calls of a model."""

DISK_AGAIN_AFTER_S = 5.0
"""How long after a failure of the disk it is asked again: each time costs the calling thread some system calls."""


class RecordingProcessor(SpanProcessor):
    """Records every sampled span of our provider."""

    def __init__(
        self,
        store: Union[DirectoryStore, MemoryStore],
        sender: Optional[Sender],
        policy: privacy.Policy,
        exit_timeout_s: float,
    ) -> None:
        self.store = store
        self.memory: Optional[MemoryStore] = None
        """Holds what came while the disk took nothing; made when that happens."""
        self.sender = sender
        self.policy = policy
        self.exit_timeout_s = exit_timeout_s
        self._falling_back = threading.Lock()
        self._disk_again_at = 0.0
        self._nesting = nesting.Nesting()
        self._forked_at = 0
        self._reader = SpanReader(lambda attributes: privacy.mask_resource(attributes, self.policy))

    @property
    def stores(self) -> List[Any]:
        """Where spans wait: each has a lock that a fork must not catch held."""
        return [self.store] if self.memory is None else [self.store, self.memory]

    def on_start(self, span: Span, parent_context: Optional[Context] = None) -> None:  # noqa: ARG002 - the SDK's signature
        """See to it that there is a sender: a first span that ends in an exit handler could not start a thread."""
        diagnostics.guarded("on_start", self._started, span)

    def _started(self, span: Span) -> None:
        if self.sender is not None:
            self.sender.ready()
        context, parent = span.get_span_context(), span.parent
        if context is not None:
            above = None if parent is None else (parent.trace_id, parent.span_id)
            self._nesting.started((context.trace_id, context.span_id), above, span.start_time or 0, _is_call(span))

    def on_end(self, span: ReadableSpan) -> None:
        """Record the span; it is on disk when this returns."""
        try:
            context = span.get_span_context()
            if context is not None and context.trace_flags.sampled:
                self._record(span, context)
        except Exception:  # noqa: BLE001
            diagnostics.swallowed("on_end")

    def _record(self, span: ReadableSpan, context: Any) -> None:
        is_call = _is_call(span)
        if is_call and (span.start_time or 0) < self._forked_at:
            return  # open at the fork: it is the parent's, whose copy of it ends there
        record = self._reader.read(span)
        record = diagnostics.guarded("nesting", self._nesting.ended, record, is_call, default=record)
        record = columns.apply(record, calls.take(context.trace_id, context.span_id))
        record = privacy.apply(record, self.policy)
        self._keep(record.start_time_unix_nano, otlp.encode_span(record))
        if self.sender is not None:
            self.sender.resource = record.resource
            self.sender.wake()

    def _keep(self, start_unix_nano: int, payload: bytes) -> None:
        """On disk, or in memory while the disk takes nothing."""
        if self.memory is None or time.monotonic() >= self._disk_again_at:
            try:
                self.store.append(start_unix_nano, payload)
            except OSError as error:
                self._fall_back(error)
            else:
                if self.memory is not None:  # the disk is back
                    diagnostics.guarded("save", self._save, self.memory)
                return
        if self.memory is not None:
            self.memory.append(start_unix_nano, payload)

    def _fall_back(self, error: OSError) -> None:
        """The disk stopped taking spans: for now they wait in memory. Made once, for all threads, and the sender is told."""
        from hf_openobserve.outbox.memory import MemoryStore

        with self._falling_back:
            self._disk_again_at = time.monotonic() + DISK_AGAIN_AFTER_S
            if self.memory is None:
                diagnostics.say_once(
                    f"the outbox cannot be written ({error}); spans wait in memory until it can, or the process ends"
                )
                self.memory = MemoryStore()
                if self.sender is not None:
                    self.sender.also_from(self.memory)

    def shutdown(self) -> None:
        """One bounded attempt to deliver what waits (law 4). What still waits in memory goes to the disk if that takes it."""
        self.force_flush(int(self.exit_timeout_s * 1000))
        if self.memory is not None:
            # Also what a silent server has been sent: twice is better than not at all.
            diagnostics.guarded("save", self._save, self.memory, True)
        diagnostics.guarded("leave", self.store.leave)

    def _save(self, memory: MemoryStore, in_hand: bool = False) -> None:
        waiting = memory.take_all(in_hand=in_hand)
        for index, record in enumerate(waiting):
            try:
                self.store.append(*record)
            except OSError:
                for left in waiting[index:]:
                    memory.append(*left)
                self._disk_again_at = time.monotonic() + DISK_AGAIN_AFTER_S
                return

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """As ``shutdown``, but no longer than asked. True even if the server did not answer: the spans are on disk."""
        if self.sender is not None:
            diagnostics.guarded("flush", self.sender.drain, min(timeout_millis / 1000, self.exit_timeout_s))
        return True

    def after_fork_in_child(self) -> None:
        """Nothing of the parent's is used: a segment, a thread and connections of the child's own come when needed."""
        self._falling_back = threading.Lock()
        self._forked_at = time.time_ns()
        self._nesting = nesting.Nesting()
        for store in self.stores:
            store.after_fork_in_child()
        if self.sender is not None:
            self.sender.after_fork_in_child()


class JoinedProcessor(SpanProcessor):
    """Ours on the application's provider: it records the LLM spans there, and leaves the rest to their owner."""

    def __init__(self, recorder: RecordingProcessor) -> None:
        self._recorder = recorder

    def on_start(self, span: Span, parent_context: Optional[Context] = None) -> None:
        """Nothing."""

    def on_end(self, span: ReadableSpan) -> None:
        """Record the span if a client's instrumentor made it. A framework's span around it would count the call twice."""
        if _is_call(span):
            self._recorder.on_end(span)

    def shutdown(self) -> None:
        """The application's provider ends, not we: deliver what waits, within the exit budget."""
        self._recorder.force_flush()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Deliver what waits, within the exit budget; the application's own result is not changed."""
        return self._recorder.force_flush(timeout_millis)


def _is_call(span: ReadableSpan) -> bool:
    scope = span.instrumentation_scope
    return scope is not None and scope.name.startswith(_CALLS)
