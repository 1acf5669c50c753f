"""What records, put together from the settings: outbox, sender, processor, provider.

Nothing runs yet, nothing is told of it.
"""

from __future__ import annotations

import functools
import math
import os
import sys
from typing import TYPE_CHECKING, Any, Callable, List, Mapping, NamedTuple, Optional

from hf_openobserve.config import environment_variables as names
from hf_openobserve.process import diagnostics

_FROZEN_S = 5.0
"""A connection that was not used for so long may have been lost while its process was frozen."""

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

    from hf_openobserve.call.unsampled import Note
    from hf_openobserve.config.metrics import Metrics
    from hf_openobserve.config.settings import Settings
    from hf_openobserve.outbox.metering import Metering
    from hf_openobserve.outbox.pricing import Pricing
    from hf_openobserve.pipeline.processor import RecordingProcessor


class Pipeline(NamedTuple):
    """The pieces of one process that records."""

    settings: Settings
    store: Any
    sender: Any
    """None where there is nowhere to send to."""
    processor: RecordingProcessor
    provider: TracerProvider
    note: Optional[Note] = None
    """Takes the numbers of calls that have no span; None where no metrics are made."""


def read_settings() -> Settings:
    """The settings of this process. What is wrong with them is said."""
    from hf_openobserve.config import settings as settings_module

    settings = settings_module.load(os.environ, script_dir=_script_directory(), cwd=_working_directory())
    if settings.debug:
        diagnostics.debug_from_now_on()
    for line in settings.problems:
        diagnostics.say_once(line)
    for line in settings.notes:
        diagnostics.debug(line)
    return settings


def assemble(settings: Settings) -> Pipeline:
    """Make the pieces. An exporter beside our delivery comes last, since it may have a thread."""
    exporters = _other_exporters(settings)
    store, sender = _outbox(settings)
    try:
        return _assembled(settings, store, sender, exporters)
    except BaseException:
        store.leave()  # the program's own exception: the next assembly has a segment of its own
        raise


def _assembled(settings: Settings, store: Any, sender: Any, exporters: List[Callable[[], Any]]) -> Pipeline:
    from hf_openobserve import privacy
    from hf_openobserve.outbox.sealing import Sealing
    from hf_openobserve.outbox.store import DirectoryStore
    from hf_openobserve.outbox.tuning import DEFAULT
    from hf_openobserve.pipeline import provider
    from hf_openobserve.pipeline.processor import RecordingProcessor

    policy = privacy.build_policy(
        capture_content=settings.capture_content,
        environ=os.environ,
        secrets=settings.secrets,
        pattern=settings.mask,
    )
    processor = RecordingProcessor(store, sender, policy, settings.exit_timeout_s)
    if settings.flush == "each" and sender is not None:
        from hf_openobserve.pipeline.flushing import Flushing

        # Lambda ends a process without a signal: its exit handlers do not run.
        numbers = settings.platform == names.AWS_LAMBDA_RUNTIME_API
        processor.flushing = Flushing(sender, settings.exit_timeout_s, numbers=numbers)
    if sender is None and isinstance(store, DirectoryStore):
        processor.sealing = Sealing(store, DEFAULT.seal_after_s)
    ours = provider.build(processor)
    note: Optional[Note] = None
    if settings.metrics is not None and sender is not None:
        metering = _metering(settings, settings.metrics, store)
        metering.describe(privacy.mask_resource(dict(ours.resource.attributes), policy))
        sender.metering = processor.metering = metering
        metering.cost = functools.partial(_cost, sender.delivery.pricing, sender)
        metering.mask = functools.partial(privacy.mask_resource, policy=policy)
        note = functools.partial(_count, metering, sender)
    for make in exporters:
        ours.add_span_processor(make())
    return Pipeline(settings, store, sender, processor, ours, note)


def _outbox(settings: Settings) -> Any:
    """The store, and the sender unless there is nowhere to send to. Without a disk, memory."""
    from hf_openobserve.outbox import store as store_module
    from hf_openobserve.outbox.directory import OutboxUnavailableError

    store: Any
    try:
        store = store_module.open_store(settings.outbox_dir, settings.destination.identity, settings.outbox_max_bytes)
    except OutboxUnavailableError as error:
        diagnostics.pass_the_programs_own()
        from hf_openobserve.outbox.memory import MemoryStore

        diagnostics.say_once(
            f"no directory for the outbox ({error}); spans wait in memory and end with the process. "
            "Set OPENOBSERVE_HF_OUTBOX_DIR to a directory that can be written"
        )
        store = MemoryStore()
    if settings.destination.kind == "local":
        return store, None
    from hf_openobserve.openobserve.ingest import Client
    from hf_openobserve.outbox.delivery import Delivery
    from hf_openobserve.outbox.pricing import Pricing
    from hf_openobserve.outbox.sender import Sender

    freezes = settings.flush == "each"
    client = Client(settings.destination, _FROZEN_S if freezes else math.inf)
    delivery = Delivery(store, client, settings.window_s, pricing=Pricing(settings.prices))
    return store, Sender(delivery, at_once=freezes)


def _count(metering: Metering, sender: Any, attributes: Mapping[str, Any], began: int, ended: int) -> None:
    """A call without a span: nothing else has seen to it that there is a sender."""
    metering.note(attributes, began, ended)
    sender.ready()


def _cost(pricing: Pricing, sender: Any, columns: Mapping[str, Any], nanoseconds: int) -> Mapping[str, Any]:
    """Where the first call is put together the price lists are imported: no child may be forked meanwhile."""
    if not pricing.is_loaded:
        with sender.importing:
            pricing.load()
    return pricing.columns(columns, nanoseconds)


def _metering(settings: Settings, metrics: Metrics, store: Any) -> Metering:
    from hf_openobserve.openobserve.ingest import Client
    from hf_openobserve.outbox import metering
    from hf_openobserve.outbox.memory import MemoryStore

    return metering.of(
        MemoryStore() if isinstance(store, MemoryStore) else store.metrics(),
        Client(metrics.destination, _FROZEN_S if settings.flush == "each" else math.inf),
        metrics.interval_s,
        is_delta=metrics.is_delta,
        legacy=metrics.legacy,
        optional=not metrics.is_asked_for,
    )


def _other_exporters(settings: Settings) -> List[Callable[[], Any]]:
    """Exporters named in ``OTEL_TRACES_EXPORTER`` beside the agent's delivery, found as the SDK finds them.

    Returns what makes the processor of each: a batching one has a thread.
    """
    if not settings.other_exporters:
        return []
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor

    from hf_openobserve.process import entry_points

    makers: List[Callable[[], Any]] = []
    for name in settings.other_exporters:
        if name == "console":
            # Batched, it would print at exit what the reader expects below each call.
            makers.append(functools.partial(SimpleSpanProcessor, ConsoleSpanExporter()))
            continue
        found = entry_points.find("opentelemetry_traces_exporter", name)
        if found is None:
            diagnostics.say_once(
                f'OTEL_TRACES_EXPORTER names "{name}", and no such exporter is installed; it is ignored'
            )
            continue
        makers.append(functools.partial(BatchSpanProcessor, found.load()()))
    return makers


def _script_directory() -> Optional[str]:
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    return os.path.dirname(os.path.abspath(script)) if script else None


def _working_directory() -> Optional[str]:
    try:
        return os.getcwd()
    except OSError:  # deleted under us
        diagnostics.pass_the_programs_own()
        return None
