"""The HTTP routes of OpenObserve that the product uses: who may call them and what they answer (contract 1.1-1.3, 6.1).

Order of the checks, which the contract leaves open: route, credentials, organization, content encoding, size, content
type, body.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple
from urllib.parse import parse_qs, unquote, urlsplit

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from . import openobserve_llm, openobserve_otlp, openobserve_records, openobserve_sql
from .openobserve_http import Answer, Request, json_answer
from .openobserve_personality import Personality
from .openobserve_streams import Stream

# 1.3: the same sentence whatever the cause.
REJECTED = "Some spans were rejected due to exceeding the allowed retention period"
_TRACES = re.compile(r"/api/([^/]+)/(?:v1/traces|traces|otel/v1/traces)$")
_HOUR_US = 3600 * 1000000


class Limits:
    """What an operator can set: ZO_INGEST_ALLOWED_UPTO (hours), ZO_PAYLOAD_LIMIT (bytes), ZO_COLS_PER_RECORD_LIMIT."""

    def __init__(self, ingest_allowed_upto_h: float = 5, payload_bytes: int = 209715200, columns: int = 1000) -> None:
        self.ingest_allowed_upto_h = ingest_allowed_upto_h
        self.payload_bytes = payload_bytes
        self.columns = columns


class Credentials:
    """The one user, and one organization ingestion token (1.2). ``root``: an unknown organization is created on ingest."""

    def __init__(self, user: str, password: str, ingestion_token: str, root: bool) -> None:
        self.user = user
        self.password = password
        self.ingestion_token = ingestion_token
        self.root = root


class Api:
    """State of one server and its answers. Callers hold a lock around ``answer``."""

    def __init__(
        self,
        personality: Personality,
        *,
        base_path: str,
        credentials: Credentials,
        orgs: Iterable[str],
        limits: Limits,
        now: Callable[[], float],
    ) -> None:
        self.personality = personality
        self.limits = limits
        self.collisions: List[str] = []
        self.orgs: Dict[str, Dict[str, Stream]] = {org: {} for org in orgs}
        self._base_path = base_path
        self._credentials = credentials
        self._now = now

    def trace_org(self, request: Request) -> Optional[str]:
        """The organization in the URL of a trace export; None for every other request."""
        match = _TRACES.match(self._path(request) or "")
        return unquote(match.group(1)) if match and request.method == "POST" else None

    def read(self, request: Request) -> None:
        """Read a trace export: sets ``decoded_size`` and ``message``, or ``fault`` for what the body deserves."""
        try:
            payload = openobserve_otlp.decompress(
                request.body, request.headers.get("content-encoding", ""), self.limits.payload_bytes
            )
            request.decoded_size = len(payload)
            content_type = request.headers.get("content-type")
            if not openobserve_otlp.is_accepted(content_type):
                # No header at all ends here too: a middleware takes it for a form (1.1 "Content-Type").
                raise openobserve_otlp.BodyError(400, "Bad Request")
            decode = (
                openobserve_otlp.decode_json
                if openobserve_otlp.is_json(content_type)
                else openobserve_otlp.decode_protobuf
            )
            request.message = decode(payload)
        except openobserve_otlp.BodyError as error:
            request.fault = json_answer(error.status, {"code": error.status, "message": str(error)})

    def answer(self, request: Request) -> Answer:
        path = self._path(request)
        if path is None:
            return Answer(404)
        if (request.method, path) == ("GET", "/healthz"):
            return json_answer(200, {"status": "ok"})
        if (request.method, path) == ("GET", "/config"):
            # 3.5: unauthenticated.
            return json_answer(200, {"version": self.personality.version, "build_type": "opensource"})
        org = self.trace_org(request)
        if org is not None:
            return self._authorized(request, org, True) or self._ingest(request, org)
        for method, pattern, handler in (
            ("POST", r"/api/([^/]+)/_search$", self._search),
            ("GET", r"/api/([^/]+)/streams$", self._streams),
            ("GET", r"/api/([^/]+)/streams/([^/]+)/schema$", self._schema),
        ):
            match = re.match(pattern, path)
            if match and method == request.method:
                names = [unquote(name) for name in match.groups()]
                return self._authorized(request, names[0], False) or handler(request, *names)
        return Answer(404)

    def _path(self, request: Request) -> Optional[str]:
        # 1.1: with a base_uri everything is nested under it, and nothing stands outside.
        path = urlsplit(request.path).path
        if not path.startswith(self._base_path + "/"):
            return None
        return path[len(self._base_path) :]

    def _authorized(self, request: Request, org: str, writes: bool) -> Optional[Answer]:
        """None for a caller who may go on, else the refusal (1.2, 1.3)."""
        authorization = request.headers.get("authorization")
        if authorization is None:
            return json_answer(401, {"code": 401, "message": "Unauthorized Access"})
        refused = Answer(
            401, {"content-type": "text/plain; charset=utf-8", "www-authenticate": "Basic"}, "Unauthorized Access"
        )
        user, password = _basic(authorization)
        if (user, password) != (self._credentials.user, self._credentials.password):
            # Tokens work on write routes only; whose organization does not exist cannot have one.
            accepted = writes and password == self._credentials.ingestion_token and org in self.orgs
            return None if accepted else refused
        if org in self.orgs:
            return None
        if not self._credentials.root:
            return refused
        if not writes:
            return json_answer(404, {"code": 404, "message": "Organization not found"})
        self.orgs[org] = {}
        return None

    def _ingest(self, request: Request, org: str) -> Answer:
        if request.fault is not None:
            return request.fault
        # 1.1 "Org header": it overrides the organization that the credentials were checked against.
        streams = self.orgs.setdefault(request.headers.get("organization") or org, {})
        name = openobserve_records.stream_name(request.headers.get("stream-name"))
        batch = openobserve_records.build(
            request.message,
            name,
            self.personality,
            int(self._now() * 1000000),
            int(self.limits.ingest_allowed_upto_h * _HOUR_US),
        )
        columns = {column for record in batch.records for column in record}
        if len(columns) > self.limits.columns:
            # 1.3 "schema refused": the whole request is dropped. After "columns" the wording is ours.
            message = f"error while writing trace data: Got {len(columns)} columns, limit is {self.limits.columns}"
            return json_answer(400, {"code": 400, "message": message}, {"x-error-message": message})
        if batch.records:
            stream = streams.setdefault(name, Stream(name))
            if batch.has_llm_spans:
                openobserve_llm.mark(stream, self.personality)
            stream.append(batch.records)
            self.collisions.extend(batch.collisions)
        return _export_answer(openobserve_otlp.is_json(request.headers.get("content-type")), batch.rejected)

    def _search(self, request: Request, org: str) -> Answer:
        try:
            query = json.loads(request.body)["query"]
            sql = str(query["sql"])
            start_us, end_us, first, size = (
                int(query.get(key, default))
                for key, default in (("start_time", 0), ("end_time", 0), ("from", 0), ("size", 100))
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return json_answer(400, {"code": 400, "message": f"Invalid json: {error!r}"})
        if not 0 < start_us <= end_us:
            # 6.1: "times in microseconds, non-zero".
            return json_answer(400, {"code": 400, "message": "invalid time range"})
        streams = self.orgs[org] if _stream_type(request) == "traces" else {}
        try:
            rows = openobserve_sql.run(sql, streams, (start_us, end_us))
        except openobserve_sql.SqlError as error:
            return json_answer(400, {"code": error.code, "message": str(error)})
        # A reader must not count on a key being there: whether the server writes nulls, the contract does not say.
        hits = [{column: value for column, value in row.items() if value is not None} for row in rows]
        page = hits[first : first + size]
        return json_answer(200, {"took": 1, "hits": page, "total": len(hits), "from": first, "size": size})

    def _streams(self, request: Request, org: str) -> Answer:
        streams = self.orgs[org].values() if _stream_type(request) == "traces" else ()
        return json_answer(200, {"list": [_describe(stream) for stream in streams]})

    def _schema(self, request: Request, org: str, name: str) -> Answer:
        stream = self.orgs[org].get(name) if _stream_type(request) == "traces" else None
        if stream is None:
            return json_answer(404, {"code": 404, "message": "stream not found"})
        schema = [{"name": column, "type": type_name} for column, type_name in stream.columns.items()]
        return json_answer(200, dict(_describe(stream), schema=schema))


def _basic(authorization: str) -> Tuple[Optional[str], Optional[str]]:
    scheme, _, encoded = authorization.partition(" ")
    try:
        user, colon, password = base64.b64decode(encoded, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, ValueError):
        return None, None
    return (user, password) if scheme == "Basic" and colon else (None, None)


def _export_answer(as_json: bool, rejected: int) -> Answer:
    if as_json:
        # 1.3: 206, and "partialSuccess": null on success (10.1: the exact text is not verified).
        partial: Any = {"rejectedSpans": rejected, "errorMessage": REJECTED} if rejected else None
        return json_answer(206 if rejected else 200, {"partialSuccess": partial})
    response = ExportTraceServiceResponse()
    if rejected:
        response.partial_success.rejected_spans = rejected
        response.partial_success.error_message = REJECTED
    return Answer(200, {"content-type": openobserve_otlp.PROTOBUF}, response.SerializeToString())


def _stream_type(request: Request) -> str:
    # OpenObserve's API reference: the default is logs, of which this server has none.
    return parse_qs(urlsplit(request.path).query).get("type", ["logs"])[0]


def _describe(stream: Stream) -> Dict[str, Any]:
    """Shape as in OpenObserve's API reference (stream schema and list)."""
    return {
        "name": stream.name,
        "storage_type": "disk",
        "stream_type": "traces",
        "stats": {"doc_num": len(stream.rows)},
        "settings": {"is_llm_stream": stream.is_llm_stream},
    }
