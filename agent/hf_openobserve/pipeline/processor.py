"""The span processor: the way of an ended span, on the thread that ended it, to the disk.

read -> columns -> privacy -> encode -> append. No network, no lock held across I/O but an append's (docs/laws.md#2),
and no exception that reaches the application (docs/laws.md#1).
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, List, Optional, Union

from opentelemetry.sdk.trace import SpanProcessor

from hf_openobserve import privacy
from hf_openobserve.call import open_calls
from hf_openobserve.clients import contract
from hf_openobserve.clients.table import SCOPES
from hf_openobserve.otlp.encode import encode_span
from hf_openobserve.pipeline.span_reader import SpanReader
from hf_openobserve.process import diagnostics
from hf_openobserve.row import columns, nesting

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

    from hf_openobserve.outbox.memory import MemoryStore
    from hf_openobserve.outbox.metering import Metering
    from hf_openobserve.outbox.sealing import Sealing
    from hf_openobserve.outbox.sender import Sender
    from hf_openobserve.outbox.store import DirectoryStore
    from hf_openobserve.pipeline.flushing import Flushing


DISK_AGAIN_AFTER_S = 5.0
"""How long after a failure of the disk it is asked again: each time costs the calling thread some system calls."""


class _Ending:
    """A span that has ended, on its way to the disk, with the call that is handed out once, and its facts."""

    __slots__ = ("call", "facts", "span")

    def __init__(self, span: ReadableSpan) -> None:
        self.span = span
        self.call: Any = None
        self.facts: Any = None


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
        self.metering: Optional[Metering] = None
        """Takes the numbers of the calls, where metrics are made."""
        self.flushing: Optional[Flushing] = None
        """Waits for deliveries, where the process may be frozen when it has answered."""
        self.sealing: Optional[Sealing] = None
        """Lets others take what is recorded, where this process sends nothing."""
        self.policy = policy
        self.exit_timeout_s = exit_timeout_s
        self._falling_back = threading.Lock()
        self._disk_again_at = 0.0
        self._nesting = nesting.Nesting()
        self._forked_at = 0
        self._interrupted: List[_Ending] = []
        """Ended spans whose recording the program has interrupted, by a time limit or Ctrl-C."""
        self._finishing = threading.Lock()
        self._reader = SpanReader(lambda attributes: privacy.mask_resource(attributes, self.policy))

    @property
    def stores(self) -> List[Any]:
        """Where spans wait: each has a lock that a fork must not catch held."""
        return [self.store] if self.memory is None else [self.store, self.memory]

    def on_start(self, span: Span, parent_context: Optional[Context] = None) -> None:  # noqa: ARG002 - SDK's signature
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
        ending = None
        try:
            ending = _Ending(span)
            if self._interrupted:
                self._finish_interrupted()
            self._end(ending)
        except BaseException:  # noqa: BLE001
            # The program's own passes, and the span is recorded at the next chance.
            self._interrupted.append(ending or _Ending(span))
            diagnostics.swallowed("on_end")
            self._interrupted.pop()
        else:
            if self.flushing is not None and _is_call(span):
                diagnostics.guarded("after a call", self.flushing.after_call)

    def _end(self, ending: _Ending) -> None:
        context = ending.span.get_span_context()
        if context is not None and context.trace_flags.sampled:
            self._record(ending, context)

    def _finish_interrupted(self) -> None:
        if self._finishing.acquire(False):
            try:
                while self._interrupted:
                    try:
                        self._end(self._interrupted[0])
                    except Exception:  # noqa: BLE001
                        diagnostics.swallowed("on_end")
                    self._interrupted.pop(0)
            finally:
                self._finishing.release()

    def _record(self, ending: _Ending, context: Any) -> None:
        span = ending.span
        is_call = _is_call(span)
        if is_call and (span.start_time or 0) < self._forked_at:
            return  # open at the fork: it is the parent's, whose copy of it ends there
        record = self._reader.read(span)
        if ending.call is None:
            ending.call = open_calls.take(context.trace_id, context.span_id)
        if ending.call is not None and ending.facts is None:
            ending.facts = open_calls.facts_of(ending.call)
        if ending.facts is not None:
            columns.complete(record, ending.facts)
        record = diagnostics.guarded("nesting", self._nesting.ended, record, is_call, default=record)
        record = privacy.shorten(record, self.policy)
        if not is_call and contract.is_own_report(record.scope.name):
            nesting.step_back(record)
        record = columns.apply(record, ending.facts)
        record = privacy.apply(record, self.policy)
        self._keep(record.start_time_unix_nano, encode_span(record))
        if self.metering is not None and columns.is_llm_span(record.attributes):
            # Last: a call that the program interrupts before is recorded once more.
            times = record.start_time_unix_nano, record.end_time_unix_nano
            diagnostics.guarded("metrics", self.metering.note, record.attributes, *times)
        if self.sender is not None:
            self.sender.delivery.resource = record.resource
            self.sender.wake()
        elif self.sealing is not None:
            self.sealing.begin()

    def _keep(self, start_unix_nano: int, payload: bytes) -> None:
        """On disk, or in memory while the disk takes nothing."""
        if self.memory is None or time.monotonic() >= self._disk_again_at:
            try:
                self.store.append(start_unix_nano, payload)
            except OSError as error:
                diagnostics.pass_the_programs_own()
                self._fall_back(error)
            else:
                if self.memory is not None:  # the disk is back
                    diagnostics.guarded("save", self._save, self.memory)
                return
        if self.memory is not None:
            self.memory.append(start_unix_nano, payload)

    def _fall_back(self, error: OSError) -> None:
        """The disk stopped taking spans: for now they wait in memory.

        Made once, for all threads, and the sender is told.
        """
        from hf_openobserve.outbox.memory import MemoryStore

        with self._falling_back:
            self._disk_again_at = time.monotonic() + DISK_AGAIN_AFTER_S
            if self.memory is None:
                diagnostics.say_once(
                    f"the outbox cannot be written ({error}); spans wait in memory until it can, or the process ends"
                )
                self.memory = MemoryStore()
                if self.sender is not None:
                    self.sender.delivery.also_from(self.memory)

    def shutdown(self) -> None:
        """One bounded attempt to deliver what waits (docs/laws.md#4).

        What waits in memory goes to the disk if it can.
        """
        if self.metering is not None:
            diagnostics.guarded("on_end", self._finish_interrupted)
            diagnostics.guarded("metrics", self.metering.write)
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
            except BaseException as error:
                for left in waiting[index:]:
                    memory.append(*left)
                self._disk_again_at = time.monotonic() + DISK_AGAIN_AFTER_S
                if not isinstance(error, OSError):
                    raise
                diagnostics.pass_the_programs_own()
                return

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """As ``shutdown``, but no longer than asked. True even if the server did not answer: the spans are on disk."""
        diagnostics.guarded("on_end", self._finish_interrupted)
        if self.sender is not None:
            diagnostics.guarded("flush", self.sender.drain, min(timeout_millis / 1000, self.exit_timeout_s))
        return True

    def after_fork_in_child(self) -> None:
        """Nothing of the parent's is used: a segment, a thread and connections of the child's own come when needed."""
        self._falling_back = threading.Lock()
        self._forked_at = time.time_ns()
        self._interrupted.clear()
        self._finishing = threading.Lock()
        self._nesting = nesting.Nesting()
        for store in self.stores:
            store.after_fork_in_child()
        if self.metering is not None:
            self.metering.after_fork_in_child()
        if self.sender is not None:
            self.sender.after_fork_in_child()
        if self.sealing is not None:
            self.sealing.after_fork_in_child()


class JoinedProcessor(SpanProcessor):
    """Ours on the application's provider: it records the LLM spans there, and leaves the rest to their owner."""

    def __init__(self, recorder: RecordingProcessor) -> None:
        self._recorder = recorder

    def on_start(self, span: Span, parent_context: Optional[Context] = None) -> None:
        """Nothing."""

    def on_end(self, span: ReadableSpan) -> None:
        """Record the span if a client's instrumentor made it.

        A framework's span around it would count the call twice.
        """
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
    return scope is not None and scope.name.startswith(SCOPES)
