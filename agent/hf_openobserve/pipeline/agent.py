"""Stage two: the agent of this process, which owns what is made and wires it together.

Activated by the first client that is built (or the first span of another instrumentor under the wrapper command), on
the program's thread, outside any import lock. Everything that costs is imported then, not before.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional

from hf_openobserve.pipeline import guard
from hf_openobserve.process import dependencies, diagnostics, signals, silence
from hf_openobserve.process.forks import Forks

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

    from hf_openobserve.config.settings import Settings
    from hf_openobserve.pipeline.answers import Answers
    from hf_openobserve.pipeline.assembly import Pipeline

_LOCK_TIMEOUT_S = 5.0
"""How long a second thread waits for the first one's activation before it goes on uncaptured (docs/laws.md#4)."""


class Agent:
    """What one process records with, once it is activated. ``process`` below is the only one; tests make their own."""

    def __init__(self) -> None:
        self.pipeline: Optional[Pipeline] = None
        """What was made; None before that, and in a process that records nothing."""
        self.forks = Forks(self._lock, self._after_fork_in_child)
        self._decided = False
        """True once it is known what this process records. An activation that the program interrupts decides nothing.
        """
        self._building = False
        self._stepped_back = False
        self._locks: Dict[type, Any] = {}
        """The lock of activation, see ``_lock``."""
        self._application_config: Any = None
        self._joined: List[Any] = []
        """Providers of the application that were looked at: each one is joined, or left alone, once."""
        self._answers: Optional[Answers] = None
        """Where the answers of functions go back, in a process that may be frozen then."""
        self._shut_down_pid = 0

    # Activation.

    def activate(self) -> None:
        """Make the pipeline if nobody has, and instrument the client libraries imported so far."""
        if self._stepped_back:
            return
        with self._held() as held:
            if held:
                try:
                    with signals.handled_after():
                        self._instrument()
                except Exception as error:  # noqa: BLE001
                    self._step_back(error)

    def _instrument(self) -> None:
        ours = self.provider()
        if self.pipeline is not None:
            from hf_openobserve.call.asker import Asker
            from hf_openobserve.call.recording import Recording
            from hf_openobserve.clients import contract

            settings = self.pipeline.settings
            asker = Asker(settings.baggage, settings.agent)
            note = self.pipeline.note
            with silence.imports():
                contract.instrument_all(Recording(ours, settings.stream_usage, settings.propagate, asker, note))

    def provider(self) -> Optional[TracerProvider]:
        """Our provider, made on demand; None when nothing is to be recorded in this process."""
        if not self._decided:
            with self._held() as held:
                # What building imports may itself start a span on this thread, and must find us passive.
                if held and not self._decided and not self._building:
                    self._decide()
        return None if self.pipeline is None else self.pipeline.provider

    def _decide(self) -> None:
        self._building = True
        try:
            with signals.handled_after(), silence.imports():
                self.forks.follow()
                pipeline = self._build()
            self.pipeline, self._decided = pipeline, True
        except Exception as error:  # noqa: BLE001
            self._step_back(error)
            self._decided = True
        finally:
            self._building = False
        if self.pipeline is not None:
            diagnostics.guarded("adopt", _adopt, self.pipeline)

    def _build(self) -> Optional[Pipeline]:
        """None: nothing is to be recorded, and nothing of ours stays in the program."""
        dependencies.reach()
        from hf_openobserve.pipeline import assembly

        settings = assembly.read_settings()
        if not settings.enabled:
            diagnostics.debug("switched off: nothing is recorded")
        elif guard.lets_pass(settings):
            return self._assemble(settings)
        dependencies.leave()
        return None

    def _assemble(self, settings: Settings) -> Pipeline:
        """Everything is made before anything is told of it: the program's own exception may come at any point."""
        from hf_openobserve.pipeline import assembly

        pipeline = assembly.assemble(settings)
        _hide(pipeline, self._application_config)
        self.forks.follow_pipeline(pipeline.processor, self.shut_down)
        if pipeline.processor.flushing is not None:
            from hf_openobserve.pipeline.answers import Answers

            self._answers = self._answers or Answers()
            self._answers.follow(pipeline.processor.flushing)
        atexit.unregister(self._at_exit)
        atexit.register(self._at_exit)
        return pipeline

    def _step_back(self, error: Exception) -> None:
        """Activation failed: the program runs on untraced, and the reason is said if it is the program's packages.

        The program's own exception is no failure of ours: it passes, and the next client activates (docs/laws.md#1).
        """
        diagnostics.swallowed("activate")
        self._stepped_back = True
        guard.say(error)

    # Beside the application's own tracing.

    def shared(self, theirs: Any) -> Any:
        """The provider for an application's instrumentation, ``theirs`` if it names one: its spans reach us too."""
        from hf_openobserve.pipeline.provider import ResolvingTracerProvider

        if theirs is None or isinstance(theirs, ResolvingTracerProvider):
            # No provider named: the global one at the time of each span, or ours while there is none.
            return ResolvingTracerProvider(self.provider, self.join)
        self.join(theirs)
        return theirs

    def join(self, theirs: Any) -> None:
        """Add our processor to the application's provider, once, unless that one delivers to the same place already."""
        if any(known is theirs for known in self._joined):
            return
        with self._held() as held:
            if held and not any(known is theirs for known in self._joined):
                diagnostics.guarded("join", self._join, theirs)
                self._joined.append(
                    theirs
                )  # last: a span that starts on another thread meanwhile waits until it is done

    def _join(self, theirs: Any) -> None:
        ours = self.provider()
        if self.pipeline is None or theirs is ours:
            return
        add_span_processor = getattr(theirs, "add_span_processor", None)
        if add_span_processor is None:
            diagnostics.debug(f"{type(theirs).__name__} takes no span processor: its spans are not recorded")
            return
        from hf_openobserve.pipeline import double_delivery
        from hf_openobserve.pipeline.processor import JoinedProcessor

        sender = self.pipeline.sender
        endpoint = sender.delivery.client.destination.endpoint if sender is not None else ""
        if double_delivery.delivers(theirs, endpoint):
            diagnostics.debug(f"{type(theirs).__name__} delivers to the server itself: left alone")
            return
        recorder: Any = double_delivery.UnlessDelivered(self.pipeline.processor, theirs, endpoint)
        add_span_processor(JoinedProcessor(recorder))

    def adopt_config(self, config: Any) -> None:
        """What an application's own OpenInference ``TraceConfig`` hides stays hidden in what we record."""
        if config is not None:
            self._application_config = config
            if self.pipeline is not None:
                _hide(self.pipeline, config)

    # The end.

    def _at_exit(self) -> None:
        diagnostics.guarded("exit", self.shut_down)

    def shut_down(self) -> None:
        """Deliver what waits, once per process: in multiprocessing's children two of its ends may come."""
        if self.pipeline is not None and self._shut_down_pid != os.getpid():
            self._shut_down_pid = os.getpid()
            try:
                self.pipeline.provider.shutdown()
            finally:
                _keep_interruption()

    # One thread activates.

    @contextmanager
    def _held(self) -> Iterator[bool]:
        """The lock of activation. Yields False where another thread holds it for longer than is waited."""
        lock = self._lock()
        try:
            yield lock.acquire(timeout=_LOCK_TIMEOUT_S)
        finally:
            try:  # an interruption may come between any two instructions: whether we hold it, the lock itself knows
                lock.release()
            except RuntimeError:
                pass

    def _lock(self) -> Any:
        """The lock held while something is built or joined: one for each kind of lock that the process has had.

        Once gevent or eventlet has patched ``threading``, a lock from before keeps no greenlet out: all run on one
        thread.
        """
        made = threading.RLock()
        return self._locks.setdefault(type(made), made)

    def _after_fork_in_child(self) -> None:
        self._locks.clear()


def _keep_interruption() -> None:
    """After Ctrl-C the process still ends by SIGINT, as its shell expects.

    The interpreter notes that a KeyboardInterrupt left the main program, and forgets it whenever a string is executed
    (its ``run_eval_code_obj``), which importing requests does. It is noted again by such an execution that ends so.
    """
    if getattr(sys, "last_type", None) is not KeyboardInterrupt or hasattr(sys, "ps1") or sys.flags.inspect:
        return
    try:
        exec("raise KeyboardInterrupt")  # noqa: S102
    except KeyboardInterrupt:
        pass


def _hide(pipeline: Pipeline, config: Any) -> None:
    if config is not None:
        from hf_openobserve import privacy

        processor = pipeline.processor
        hide = processor.policy.hide | privacy.hidden_by_config(config)
        processor.policy = processor.policy._replace(hide=hide)


def _adopt(pipeline: Pipeline) -> None:
    """Deliver what other processes left: those that live for one call each would leave it to the next one, for ever."""
    if pipeline.sender is not None and pipeline.store.has_others():
        pipeline.sender.wake()


process = Agent()
"""The agent of this process."""
