"""Stage two, the one place where the pieces are wired together: settings, outbox, sender, processor, provider, capture.

Runs at the first client built (or the first span of another instrumentor under the wrapper command), on the
application's thread, outside any import lock. Everything that costs is imported here, not before.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from hf_openobserve import diagnostics, forks, quiet

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

    from hf_openobserve.processor import RecordingProcessor
    from hf_openobserve.settings import Settings

_LOCK_TIMEOUT_S = 5.0
"""How long a second thread waits for the first one's activation before it goes on uncaptured (law 4)."""

_locks: Dict[type, Any] = {}
"""The lock of activation, see ``_lock``."""
_built = False
_building = False
_provider: Optional[TracerProvider] = None
_processor: Optional[RecordingProcessor] = None
_shut_down_pid = 0
_stream_usage = "off"
_application_config: Any = None
_joined: List[Any] = []
"""Providers of the application that were looked at: each one is joined, or left alone, once."""


def activate() -> None:
    """Build the pipeline if nobody has, and instrument the client libraries imported so far: once for each of them."""
    lock = _lock()
    if not lock.acquire(timeout=_LOCK_TIMEOUT_S):
        return
    try:
        ours = provider()
        if ours is not None:
            from hf_openobserve.capture import huggingface_hub, openai

            with quiet.imports():
                openai.instrument(ours, _stream_usage)
                huggingface_hub.instrument(ours, _stream_usage)
    except Exception as error:  # noqa: BLE001
        _step_back(error)
    finally:
        lock.release()


def provider() -> Optional[TracerProvider]:
    """Our provider, made on demand; None when nothing is to be recorded in this process."""
    global _built, _building
    if _built:
        return _provider
    lock = _lock()
    if not lock.acquire(timeout=_LOCK_TIMEOUT_S):
        return None
    try:
        # What building imports may itself start a span on this thread, and must find us passive; other threads wait.
        if not _built and not _building:
            _building = True
            try:
                with quiet.imports():
                    forks.follow(_lock, _locks.clear)
                    _build()
            except Exception as error:  # noqa: BLE001
                _step_back(error)
            finally:
                _built = True
    finally:
        lock.release()
    return _provider


def join(theirs: Any) -> None:
    """Add our processor to the application's provider, once, unless that one delivers to the same place already."""
    if any(known is theirs for known in _joined):
        return
    lock = _lock()
    if not lock.acquire(timeout=_LOCK_TIMEOUT_S):
        return
    try:
        if not any(known is theirs for known in _joined):
            try:
                _join(theirs)
            finally:
                _joined.append(theirs)  # last: a span that starts on another thread meanwhile waits until it is done
    finally:
        lock.release()


def _join(theirs: Any) -> None:
    if provider() is None or _processor is None or theirs is _provider:
        return
    add_span_processor = getattr(theirs, "add_span_processor", None)
    if add_span_processor is None:
        diagnostics.debug(f"{type(theirs).__name__} takes no span processor: its spans are not recorded")
        return
    from hf_openobserve import already
    from hf_openobserve.processor import JoinedProcessor

    endpoint = _destination_endpoint()
    if already.delivers(theirs, endpoint):
        diagnostics.debug(f"{type(theirs).__name__} delivers to the server itself: left alone")
        return
    recorder: Any = already.UnlessDelivered(_processor, theirs, endpoint)
    add_span_processor(JoinedProcessor(recorder))


def adopt_config(config: Any) -> None:
    """What an application's own OpenInference ``TraceConfig`` hides stays hidden in what we record."""
    global _application_config
    if config is None:
        return
    _application_config = config
    if _processor is not None:
        from hf_openobserve import privacy

        policy = _processor.policy
        _processor.policy = policy._replace(hide=policy.hide | privacy.hidden_by_config(config))


def _build() -> None:
    global _provider, _processor, _stream_usage
    _reach_dependencies()
    from hf_openobserve import settings as settings_module

    settings = settings_module.load(os.environ, script_dir=_script_directory(), cwd=_working_directory())
    if settings.debug:
        diagnostics.debug_from_now_on()
    for line in settings.problems:
        diagnostics.say_once(line)
    for line in settings.notes:
        diagnostics.debug(line)
    if not settings.enabled:
        diagnostics.debug("switched off: nothing is recorded")
        return
    _stream_usage = settings.stream_usage
    from hf_openobserve import privacy, provider
    from hf_openobserve.processor import RecordingProcessor

    store, sender = _outbox(settings)
    policy = privacy.build_policy(
        capture_content=settings.capture_content, environ=os.environ, secrets=settings.secrets
    )
    _processor = RecordingProcessor(store, sender, policy, settings.exit_timeout_s)
    forks.follow_pipeline(_processor, _shut_down)
    adopt_config(_application_config)
    _provider = provider.build(_processor)
    _add_other_exporters(_provider, settings)
    atexit.register(diagnostics.guarded, "exit", _shut_down)
    if sender is not None:
        sender.adopt()


def _outbox(settings: Settings) -> Any:
    """The store, and the sender unless there is nowhere to send to. Without a disk, memory."""
    from hf_openobserve.outbox import store as store_module

    store: Any
    try:
        store = store_module.open_store(settings.outbox_dir, settings.destination.identity, settings.outbox_max_bytes)
    except store_module.OutboxUnavailableError as error:
        from hf_openobserve.outbox.memory import MemoryStore

        diagnostics.say_once(
            f"no directory for the outbox ({error}); spans wait in memory and end with the process. "
            "Set OPENOBSERVE_HF_OUTBOX_DIR to a directory that can be written"
        )
        store = MemoryStore()
    if settings.destination.kind == "local":
        return store, None
    from hf_openobserve.openobserve.client import Client
    from hf_openobserve.outbox.sender import Sender

    return store, Sender(store, Client(settings.destination), settings.window_s)


def _add_other_exporters(ours: TracerProvider, settings: Settings) -> None:
    """Exporters named in ``OTEL_TRACES_EXPORTER`` beside the agent's delivery, found as the SDK finds them."""
    if not settings.other_exporters:
        return
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor

    from hf_openobserve import entry_points

    for name in settings.other_exporters:
        if name == "console":
            # Batched, it would print at exit what the reader expects below each call.
            ours.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
            continue
        found = entry_points.find("opentelemetry_traces_exporter", name)
        if found is None:
            diagnostics.say_once(
                f'OTEL_TRACES_EXPORTER names "{name}", and no such exporter is installed; it is ignored'
            )
            continue
        ours.add_span_processor(BatchSpanProcessor(found.load()()))


def _shut_down() -> None:
    """Deliver what waits, once per process: in multiprocessing's children two of its ends may come (law 4)."""
    global _shut_down_pid
    if _provider is not None and _shut_down_pid != os.getpid():
        _shut_down_pid = os.getpid()
        try:
            _provider.shutdown()
        finally:
            _keep_interruption()


def _keep_interruption() -> None:
    """After Ctrl-C the process still ends by SIGINT, as its shell expects.

    The interpreter notes that a KeyboardInterrupt left the main program, and forgets it whenever a string is executed (its
    ``run_eval_code_obj``), which importing requests does. It is noted again by such an execution that ends so.
    """
    if getattr(sys, "last_type", None) is not KeyboardInterrupt or hasattr(sys, "ps1") or sys.flags.inspect:
        return
    try:
        exec("raise KeyboardInterrupt")  # noqa: S102
    except KeyboardInterrupt:
        pass


def _lock() -> Any:
    """The lock held while something is built or joined: one for each kind of lock that the process has had.

    Once gevent or eventlet has patched ``threading``, one from before keeps no greenlet out: they all run on one thread.
    """
    made = threading.RLock()
    return _locks.setdefault(type(made), made)


def _destination_endpoint() -> str:
    sender = _processor.sender if _processor is not None else None
    return sender.client.destination.endpoint if sender is not None else ""


def _reach_dependencies() -> None:
    """Injected from outside the application's environment, our dependencies stand last on sys.path (law 6)."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    known = {os.path.realpath(entry or os.curdir) for entry in sys.path}
    if os.path.realpath(root) not in known:
        sys.path.append(root)


def _step_back(error: Exception) -> None:
    """Activation failed: the program runs on untraced, and the reason is said if it is the application's packages."""
    diagnostics.swallowed("activate")
    from hf_openobserve import conflicts

    reason = diagnostics.guarded("conflicts", conflicts.explain, default=None) or f"{type(error).__name__}: {error}"
    diagnostics.say_once(f"{reason}; nothing is recorded in this process")


def _script_directory() -> Optional[str]:
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    return os.path.dirname(os.path.abspath(script)) if script else None


def _working_directory() -> Optional[str]:
    try:
        return os.getcwd()
    except OSError:  # deleted under us
        return None
