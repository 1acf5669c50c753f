"""A test span: sent as the agent sends, its answer read, and read back through the search API.

It is the agent's own span, under the service ``hf-openobserve``, and no call of a model: no dashboard counts it.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Iterator, NamedTuple, Optional
from urllib.parse import urlencode

from hf_openobserve import __version__
from hf_openobserve.cli.doctor.finding import Finding, green, red, yellow
from hf_openobserve.config import environment_variables as names
from hf_openobserve.config.destination import Destination
from hf_openobserve.config.settings import Settings
from hf_openobserve.openobserve import answers, api_errors
from hf_openobserve.openobserve.api import Api
from hf_openobserve.openobserve.api_errors import ApiError
from hf_openobserve.openobserve.ingest import Client
from hf_openobserve.otlp.encode import encode_span
from hf_openobserve.row import agent_span
from hf_openobserve.row.record import ResourceRecord

SPAN_NAME = "hf-openobserve doctor"
DELIVERY, READ_BACK = "delivery", "read back"
_TIMEOUT_S = 10.0
_SEEN_WITHIN_S = 10.0
_LOOK_AGAIN_S = 0.5
_MINUTE_US = 60 * 10**6
_ANOTHER_ORGANIZATION = "default"


class _TestSpan(NamedTuple):
    trace_id: str
    """32 hex digits."""
    began_us: int
    payload: bytes


def check(settings: Settings) -> Iterator[Finding]:
    """Send one span and look for it. Nothing is sent where that would make an organization by mistake."""
    destination = dataclasses.replace(settings.destination, timeout_s=min(_TIMEOUT_S, settings.destination.timeout_s))
    if destination.kind == "local":
        return
    missing = _no_organization(destination) if destination.kind == "openobserve" else None
    if missing is not None:
        yield missing
        return
    span = _test_span()
    client = Client(destination)
    verdict = client.send([span.payload])
    client.close()
    sent = _sent(destination, verdict)
    yield sent
    if sent.level == "green":
        yield _read_back(destination, span)


def link(destination: Destination, trace_id: str, began_us: int) -> str:
    """Where a person sees the trace in OpenObserve."""
    query = {
        "stream": destination.stream,
        "trace_id": trace_id,
        "from": began_us - _MINUTE_US,
        "to": began_us + _MINUTE_US,
        "org_identifier": destination.organization,
    }
    return f"{destination.base_url}/web/traces/trace-details?{urlencode(query)}"


def _test_span() -> _TestSpan:
    resource = ResourceRecord({**agent_span.RESOURCE, "telemetry.distro.version": __version__})
    span = agent_span.now(SPAN_NAME, "hf_openobserve.doctor", {}, resource)
    return _TestSpan(f"{span.trace_id:032x}", span.start_time_unix_nano // 1000, encode_span(span))


def _no_organization(destination: Destination) -> Optional[Finding]:
    """Red where the server has none of that name: a span of its root user's would create it."""
    try:
        with Api(destination, destination.headers["Authorization"]) as api:
            api.streams()
    except ApiError as error:
        if error.kind == api_errors.ORGANIZATION:
            what = f"the server has no organization {destination.organization}, and the first span would create it"
            return _wrong_organization(f"{what}: no test span is sent")
    return None


def _wrong_organization(what: str) -> Finding:
    remedy = f"Set {names.OPENOBSERVE_ORG} to the organization's identifier, as the web page's address has it"
    return red("organization", what, f"{remedy} (org_identifier=...)")


def _sent(destination: Destination, verdict: answers.Verdict) -> Finding:
    if verdict.outcome == answers.ACCEPTED:
        if not verdict.rejected:
            return green(DELIVERY, f"a test span ({SPAN_NAME}, of the service {agent_span.SERVICE}) was accepted")
        what = f"the server took the request and rejected the span (partial_success: {verdict.reason})"
        return red(DELIVERY, what, "It rejects what began too long ago, or in the future: set the clocks right")
    reason = verdict.reason.partition("; check ")[0]
    if verdict.status in (401, 403) and destination.kind == "openobserve":
        return _credentials(destination, reason)
    if 300 <= verdict.status < 400 or "web page" in reason:
        what = "a login page or a proxy stands before it"
        remedy = f"Set {names.OPENOBSERVE_URL} to the address where OpenObserve itself answers ({what})"
    elif verdict.status == 404 or verdict.outcome == answers.BLOCKED:
        remedy = (
            f"Correct {names.OPENOBSERVE_URL} and {names.OPENOBSERVE_ORG}: spans go to {destination.shown_endpoint}"
        )
    elif verdict.outcome == answers.RETRY:
        remedy = "Look after the server; spans wait in the outbox until it takes them"
    else:
        remedy = "Look whether it is OpenObserve that answers there; spans wait in the outbox"
    return red(DELIVERY, f"the test span was not taken: {reason}", remedy)


def _credentials(destination: Destination, reason: str) -> Finding:
    """OpenObserve answers the same to a wrong token and to one of another organization."""
    organization = destination.organization
    if organization != _ANOTHER_ORGANIZATION:
        elsewhere = dataclasses.replace(destination, organization=_ANOTHER_ORGANIZATION)
        try:
            with Api(elsewhere, destination.headers["Authorization"]) as api:
                api.streams()
            what = f"the credentials are right, and are none of the organization {organization} ({reason})"
            return _wrong_organization(what)
        except ApiError:
            pass
    what = f"the token is wrong, or is none of the organization {organization} ({reason})"
    remedy = f"Copy {names.OPENOBSERVE_AUTH_TOKEN} anew from OpenObserve (Data sources, Traces), and set it with its"
    return red("authentication", what, f"{remedy} {names.OPENOBSERVE_ORG}")


def _read_back(destination: Destination, span: _TestSpan) -> Finding:
    if destination.kind != "openobserve":
        return yellow(READ_BACK, "not possible: what a Collector does with the span is not seen from here")
    where = link(destination, span.trace_id, span.began_us)
    details = {"trace_id": span.trace_id, "link": where}
    try:
        with Api(destination) as api:
            if api.may_only_write:
                what = "the token is an organization's ingestion token (o2oi_...), which may write and nothing else"
                return yellow(READ_BACK, f"{what}: that is right for delivery", f"See the span: {where}", **details)
            seconds = _seen_after(api, destination, span)
    except ApiError as error:
        if error.kind in (api_errors.CREDENTIALS, api_errors.FORBIDDEN):
            what = f"the token may write and not search ({error.status}): that is right for delivery"
            return yellow(READ_BACK, what, f"See the span: {where}", **details)
        return yellow(READ_BACK, str(error), f"See the span: {where}", **details)
    if seconds is None:
        what = f"the span was accepted, and is not found after {_SEEN_WITHIN_S:.0f} s"
        return yellow(READ_BACK, what, f"Look for it later: {where}", **details)
    return green(READ_BACK, f"found after {seconds:.1f} s: {where}", **details)


def _seen_after(api: Api, destination: Destination, span: _TestSpan) -> Optional[float]:
    """Seconds until a search found the span; None if none did in time."""
    query = f"SELECT operation_name FROM \"{destination.stream}\" WHERE trace_id = '{span.trace_id}'"  # noqa: S608
    began = time.monotonic()
    while True:
        try:
            if api.search(query, span.began_us - _MINUTE_US, span.began_us + _MINUTE_US, size=1):
                return time.monotonic() - began
        except ApiError as error:
            if error.code != api_errors.CODE_NO_STREAM:  # the first span of a stream makes it
                raise
        if time.monotonic() - began > _SEEN_WITHIN_S:
            return None
        time.sleep(_LOOK_AGAIN_S)
