"""The report as one HTML page that needs nothing else: no server, no network, no file beside it.

What calls say - a model's name, a prompt - is other people's text. It stands in the page as JSON without a ``<``, the
script writes it as text alone, and a policy of content lets no other script run.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import html
import json
import os
import pkgutil
import re
import tempfile
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

from hf_openobserve import __version__
from hf_openobserve.cli import calls as calls_module
from hf_openobserve.cli.calls import Call
from hf_openobserve.cli.remedies import remedies
from hf_openobserve.wire.bodies import show_tool_calls

MOST_CALLS = 10_000
"""The newest are shown: a browser filters and draws so many at once."""
LONGEST_TEXT = 20_000
"""Characters of one message."""
MOST_TEXT = 24_000_000
"""Characters of all messages: the newest calls have theirs."""

_ASSETS = "assets"
_LEFT_OUT = "left out: the page would be too large"


class Origin(NamedTuple):
    """Where the calls are from, as the page says it."""

    source: str
    since_ns: Optional[int]
    now_ns: int


def write(path: str, calls: Sequence[Call], origin: Origin, *, with_content: bool = True) -> None:
    """Make the page at ``path``, or replace it: at once and whole, for its owner to read. Raises OSError."""
    directory = os.path.dirname(os.path.abspath(path))
    fd, unfinished = tempfile.mkstemp(prefix=".report-", suffix=".html", dir=directory)  # 0600: it holds prompts
    try:
        with open(fd, "w", encoding="utf-8") as file:
            file.write(render(calls, origin, with_content=with_content))
        os.replace(unfinished, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(unfinished)
        raise


def render(calls: Sequence[Call], origin: Origin, *, with_content: bool = True) -> str:
    """The page's text. ``calls`` are in the order of their start; of too many the newest are shown."""
    scripts = [_uplot(), _asset("report.js")]
    styles = [_asset("uplot/uPlot.min.css"), _asset("report.css")]
    policy = (
        f"default-src 'none'; script-src {_hashes(scripts)}; style-src {_hashes(styles)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = {
        "policy": policy,
        "styles": "".join(f"<style>{style}</style>" for style in styles),
        "data": _json_for_html(_data(calls, origin, with_content)),
        "scripts": "".join(f"<script>{script}</script>" for script in scripts),
        "version": html.escape(__version__),
    }
    # Not str.format: styles and scripts are full of braces.
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place.group(1)], _asset("report.html"))


def _data(calls: Sequence[Call], origin: Origin, with_content: bool) -> Dict[str, Any]:
    shown = calls[-MOST_CALLS:]
    left = MOST_TEXT if with_content else 0
    entries: List[Dict[str, Any]] = []
    for call in reversed(shown):
        sent, received = conversation(call.sent), conversation(call.received)
        size = sum(len(part["text"]) for message in (*sent, *received) for part in message["parts"])
        captured = bool(sent or received)
        if captured and with_content and size <= left:
            left -= size
            content: Dict[str, Any] = {"sent": sent, "received": received}
        elif captured:
            content = {"content_note": _LEFT_OUT if with_content else "left out of this page"}
        else:
            content = {"content_note": "not captured"}
        entries.append({**calls_module.as_dictionary(call), **_more(call), **content})
    return {
        "source": origin.source,
        "since": None if origin.since_ns is None else origin.since_ns // 1_000_000,
        "made": origin.now_ns // 1_000_000,
        "calls": entries[::-1],
        "calls_left_out": len(calls) - len(shown),
        "remedies": {kind: remedy._asdict() for kind, remedy in remedies().items()},
    }


def _more(call: Call) -> Dict[str, Any]:
    return {"start_ms": call.start / 1e6, "operation": call.operation, "request_id": call.request_id}


def conversation(text: str) -> List[Dict[str, Any]]:
    """Messages of a row as ``[{"role", "parts": [{"label", "text"}]}]``; what is no list of them is one, as it is."""
    if not text:
        return []
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):  # cut for the server, or not JSON at all
        return [{"role": "", "parts": [_part("", text)]}]
    if isinstance(parsed, list) and parsed and all(isinstance(message, dict) for message in parsed):
        return [_message(message) for message in parsed]
    return [{"role": "", "parts": [_part("", _as_text(parsed))]}]


def _message(message: Mapping[str, Any]) -> Dict[str, Any]:
    shown = {name: _as_text(value) for name, value in message.items() if value not in (None, "", [])}
    role, reason = shown.pop("role", ""), shown.pop("finish_reason", "")
    if "tool_calls" in shown:
        calls: Dict[str, Any] = {"tool_calls": message["tool_calls"]}
        show_tool_calls(calls)
        shown["tool_calls"] = calls.get("content") or shown["tool_calls"]
        if (
            shown.get("content") == shown["tool_calls"]
        ):  # what OpenObserve's page shows of an answer of tool calls alone
            del shown["content"]
    parts = [_part("" if name == "content" else name.replace("_", " "), text) for name, text in shown.items()]
    return {"role": role, "finish_reason": reason, "parts": parts}


def _part(label: str, text: str) -> Dict[str, Any]:
    return {"label": label, "text": text[:LONGEST_TEXT], "left_out": max(0, len(text) - LONGEST_TEXT)}


def _as_text(value: Any) -> str:
    """A list of parts as its texts, and anything else that is no text as JSON."""
    if isinstance(value, list) and value and all(isinstance(part, dict) for part in value):
        return "\n".join(str(part["text"]) if "text" in part else _as_json(part) for part in value)
    return value if isinstance(value, str) else _as_json(value)


def _as_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _json_for_html(value: Any) -> str:
    """JSON of ASCII alone that neither ends the element around it nor begins a comment in it."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _hashes(texts: Sequence[str]) -> str:
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts)
    return " ".join(f"'sha256-{digest}'" for digest in digests)


def _uplot() -> str:
    """uPlot, with its licence, which asks to go along."""
    return f"/*\n{_asset('uplot/LICENSE')}*/\n{_asset('uplot/uPlot.iife.min.js')}"


def _asset(name: str) -> str:
    data = pkgutil.get_data(__package__ or "", f"{_ASSETS}/{name}")
    assert data is not None  # the loaders of files and of archives give data or raise
    return data.decode()
