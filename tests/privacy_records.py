"""Records and policies for the tests of ``privacy``."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional, Sequence

from hf_openobserve import privacy
from hf_openobserve.row.record import (
    STATUS_ERROR,
    EventRecord,
    LinkRecord,
    ResourceRecord,
    ScopeRecord,
    SpanRecord,
)

FULL = privacy.build_policy(capture_content=True, environ={})
NONE = privacy.build_policy(capture_content=False, environ={})

HF_TOKEN = "hf_" + "AbCdEfGhIjKlMnOpQrStUvWxYzAbCdEfGh"
"""A fake of the right shape: letters in alphabetical order are nobody's key."""


def hiding(*names: str) -> privacy.Policy:
    return privacy.build_policy(capture_content=True, environ={"OPENINFERENCE_HIDE_" + name: "true" for name in names})


def span(
    attributes: Optional[Mapping[str, Any]] = None,
    *,
    events: Sequence[EventRecord] = (),
    links: Sequence[LinkRecord] = (),
    name: str = "ChatCompletion",
    status_message: str = "",
) -> SpanRecord:
    return SpanRecord(
        trace_id=1,
        span_id=2,
        name=name,
        start_time_unix_nano=1,
        end_time_unix_nano=2,
        resource=ResourceRecord({}),
        scope=ScopeRecord("scope"),
        attributes=dict(attributes or {}),
        events=list(events),
        links=list(links),
        status_code=STATUS_ERROR if status_message else 0,
        status_message=status_message,
    )


def everything_in(record: SpanRecord) -> str:
    """All that an encoder reads of the record."""
    return repr([record.name, record.status_message, record.attributes, record.events, record.links])


def after(attributes: Mapping[str, Any], policy: privacy.Policy) -> Dict[str, Any]:
    return privacy.apply(span(attributes), policy).attributes
