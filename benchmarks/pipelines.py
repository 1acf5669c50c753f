"""Both pipelines within one process, the agent's and the stock one, given the same ended spans (``llm_spans.py``).

Run with the agent's environment, which has the stock exporter too. ``pipelines.py on_end|drain|memory|sustained|left
VARIANT URL`` reads lines from standard input and answers each with one line of JSON; times are CPU of the calling
thread or of this process.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import pathlib
import random
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from typing import Any, Callable, Dict, Iterable, List, Sequence

import llm_spans
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult

POOL = 2000
"""Different spans; more than one request, and more than gzip looks back."""
FLUSH_TIMEOUT_S = 600.0
WITHOUT_A_BOUND = 1 << 40
QUEUE = 1_000_000
"""Spans, instead of stock's 2048: it would drop the rest."""
MIB = 1024.0


class Agent:
    """The agent's pieces as the agent puts them together, but for the outbox's bound, and the sender when asked for."""

    def __init__(self, url: str, directory: str, *, has_sender: bool) -> None:
        from hf_openobserve import privacy
        from hf_openobserve.config import settings
        from hf_openobserve.openobserve.ingest import Client
        from hf_openobserve.outbox import store
        from hf_openobserve.outbox.delivery import Delivery
        from hf_openobserve.outbox.sender import Sender
        from hf_openobserve.pipeline.processor import RecordingProcessor

        environ = {**os.environ, "OPENOBSERVE_URL": url}
        loaded = settings.load(environ, script_dir=None, cwd=None)
        self.policy = privacy.build_policy(
            capture_content=loaded.capture_content, environ=environ, secrets=loaded.secrets
        )
        self.store = store.open_store(directory, loaded.destination.identity, WITHOUT_A_BOUND)
        self.sender = Sender(Delivery(self.store, Client(loaded.destination)))
        self.processor = RecordingProcessor(
            self.store, self.sender if has_sender else None, self.policy, FLUSH_TIMEOUT_S
        )

    def append(self, start_unix_nano: int, payload: bytes) -> None:
        """To the outbox, and no more."""
        self.store.append(start_unix_nano, payload)

    def drain(self) -> None:
        """Everything that waits, by the sender's own thread."""
        self.sender.ready()
        if not self.sender.drain(FLUSH_TIMEOUT_S):
            raise RuntimeError("the outbox was not emptied")


class Stock:
    """``BatchSpanProcessor`` and ``OTLPSpanExporter``. ``gate``: nothing is exported before it is set."""

    def __init__(self, url: str, *, gzip: bool = False, queue: int = 2048) -> None:
        from opentelemetry.exporter.otlp.proto.http import Compression
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        gate = self.gate = threading.Event()

        class Gated(OTLPSpanExporter):
            def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
                gate.wait()
                return super().export(spans)

        compression = Compression.Gzip if gzip else Compression.NoCompression
        exporter = Gated(endpoint=url + "/v1/traces", compression=compression)
        self.processor = BatchSpanProcessor(exporter, max_queue_size=queue)

    def drain(self) -> None:
        """Everything in the queue, by the processor's own thread."""
        self.gate.set()
        self.processor.force_flush(int(FLUSH_TIMEOUT_S * 1000))


# --- the calling thread ----------------------------------------------------------------------------------------------


def on_end(_variant: str, url: str, stack: ExitStack) -> Callable[[int], Dict[str, float]]:
    """Each line is a number of spans. Answers microseconds per span: both processors, and the agent's parts."""
    from hf_openobserve import privacy
    from hf_openobserve.otlp.encode import encode_span
    from hf_openobserve.pipeline.span_reader import SpanReader
    from hf_openobserve.row import columns

    live = Agent(url, stack.enter_context(tempfile.TemporaryDirectory()), has_sender=True)
    written = Agent(url, stack.enter_context(tempfile.TemporaryDirectory()), has_sender=False)
    stock = Stock(url)
    stock.gate.set()
    pool = itertools.cycle(llm_spans.spans(POOL))
    reader = SpanReader(lambda attributes: privacy.mask_resource(attributes, live.policy))

    def measure(count: int) -> Dict[str, float]:
        spans = list(itertools.islice(pool, count))
        result = {"stock": _per_item(stock.processor.on_end, spans)}
        stock.processor.force_flush(int(FLUSH_TIMEOUT_S * 1000))
        result["agent"] = _per_item(live.processor.on_end, spans)
        live.processor.force_flush(int(FLUSH_TIMEOUT_S * 1000))
        records: List[Any] = []
        payloads: List[Any] = []
        result["read"] = _per_item(lambda span: records.append(reader.read(span)), spans)
        result["columns"] = _per_item(columns.apply, records)
        result["privacy"] = _per_item(lambda record: privacy.apply(record, live.policy), records)
        result["encode"] = _per_item(
            lambda record: payloads.append((record.start_time_unix_nano, encode_span(record))), records
        )
        result["append"] = _per_item(lambda item: written.append(*item), payloads)
        result["encode + append"] = result["encode"] + result["append"]
        return result

    return measure


def _per_item(action: Callable[[Any], Any], items: Sequence[Any]) -> float:
    """Microseconds of this thread's CPU per item."""
    began = time.thread_time()
    for item in items:
        action(item)
    return (time.thread_time() - began) * 1e6 / len(items)


# --- the drain -------------------------------------------------------------------------------------------------------


def drain(variant: str, url: str, stack: ExitStack) -> Callable[[int], Dict[str, float]]:
    """One line, a number of spans: they are ended while nothing is sent, then sent. Answers microseconds per span."""
    pool = llm_spans.spans(POOL)
    pipeline: Any
    if variant == "agent":
        pipeline = Agent(url, stack.enter_context(tempfile.TemporaryDirectory()), has_sender=False)
    else:
        pipeline = Stock(url, gzip=variant == "stock gzip", queue=QUEUE)

    def measure(count: int) -> Dict[str, float]:
        import requests  # noqa: F401 - stock has imported it; it is no cost per span

        encoded = encode_and_append(count) if variant == "agent" else 0.0
        fill = _fill(pipeline.processor, itertools.islice(itertools.cycle(pool), count), count)
        cpu, wall = time.process_time(), time.perf_counter()
        pipeline.drain()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        scale = 1e6 / count
        return {
            "drain cpu": cpu * scale,
            "drain wall": wall * scale,
            "same work cpu": cpu * scale + (encoded or fill),
            "whole cpu": cpu * scale + fill,
        }

    def encode_and_append(count: int) -> float:
        """What of the fill is the same work as stock's: its encoding, and keeping the span until it is sent."""
        from hf_openobserve import privacy
        from hf_openobserve.otlp.encode import encode_span
        from hf_openobserve.pipeline.span_reader import SpanReader
        from hf_openobserve.row import columns

        reader = SpanReader(lambda attributes: attributes)
        other = Agent(url, stack.enter_context(tempfile.TemporaryDirectory()), has_sender=False)
        records = [privacy.apply(columns.apply(reader.read(span)), other.policy) for span in pool]
        cpu = time.process_time()
        for record in itertools.islice(itertools.cycle(records), count):
            other.append(record.start_time_unix_nano, encode_span(record))
        return (time.process_time() - cpu) * 1e6 / count

    return measure


def sustained(_variant: str, url: str, stack: ExitStack) -> Callable[[int], Dict[str, float]]:
    """One line, a number of spans: they are ended as fast as may be while the sender sends.

    Answers spans a second, and CPU.
    """
    agent = Agent(url, stack.enter_context(tempfile.TemporaryDirectory()), has_sender=True)
    pool = llm_spans.spans(POOL)

    def measure(count: int) -> Dict[str, float]:
        _fill(agent.processor, pool[:512], 512)
        agent.drain()
        cpu, wall = time.process_time(), time.perf_counter()
        _fill(agent.processor, itertools.islice(itertools.cycle(pool), count), count)
        agent.drain()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        return {"a second": count / wall, "us of cpu": cpu * 1e6 / count}

    return measure


def left(_variant: str, directory: str, _stack: ExitStack) -> Callable[[int], Dict[str, float]]:
    """One line, a number of spans: they stay in the outbox ``directory``, for ``ship``. Answers their bytes there."""
    agent = Agent(os.environ["OPENOBSERVE_URL"], directory, has_sender=False)
    pool = llm_spans.spans(POOL)

    def measure(count: int) -> Dict[str, float]:
        _fill(agent.processor, itertools.islice(itertools.cycle(pool), count), count)
        agent.store.seal()
        return {"bytes": sum(path.stat().st_size for path in pathlib.Path(directory).rglob("*.seg")) / count}

    return measure


def _fill(processor: SpanProcessor, spans: Iterable[ReadableSpan], count: int) -> float:
    cpu = time.process_time()
    for span in spans:
        processor.on_end(span)
    return (time.process_time() - cpu) * 1e6 / count


# --- memory ----------------------------------------------------------------------------------------------------------


def memory(variant: str, url: str, stack: ExitStack) -> Callable[[int], Dict[str, float]]:
    """One line, a number of spans, begun and ended while the server does not take any. Answers MiB.

    ``grown``: the peak from then on, until ten seconds after the last span, over what was resident after the first 200.
    """
    processors: List[SpanProcessor] = []
    if variant == "agent":
        processors = [Agent(url, stack.enter_context(tempfile.TemporaryDirectory()), has_sender=True).processor]
    elif variant == "stock":
        stock = Stock(url)
        stock.gate.set()
        processors = [stock.processor]
    else:
        import requests  # noqa: F401 - what either pipeline imports to send is no growth

    def measure(count: int) -> Dict[str, float]:
        tracer = llm_spans.tracer_provider(*processors).get_tracer(llm_spans.SCOPE)
        texts = random.Random(1)

        def make(spans: int) -> None:
            for number in range(spans):
                llm_spans.chat(tracer, texts, number)
                time.sleep(0.0005)  # two thousand a second; and the pipelines' threads get their turn

        make(200)
        time.sleep(3)
        gc.collect()
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")  # the peak is from now on
        before = _resident("VmRSS")
        make(count)
        time.sleep(10)
        return {"grown": _resident("VmHWM") - before}

    return measure


def _resident(name: str) -> float:
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) / MIB for line in file if line.startswith(name + ":"))


def main(kind: str, variant: str, url: str) -> None:
    with ExitStack() as stack:
        kinds = {"on_end": on_end, "drain": drain, "memory": memory, "sustained": sustained, "left": left}
        measure = kinds[kind](variant, url, stack)
        for line in sys.stdin:
            print(json.dumps(measure(int(line))), flush=True)
        # A server that is down must not hold this up: exits are measured elsewhere.
        stack.close()
        os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
