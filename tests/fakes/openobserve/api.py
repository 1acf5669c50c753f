"""Which request goes where, and who may make it (contract 1.1-1.3, recorded).

Order of the checks, which the contract leaves open: route, method, credentials, organization, then the handler's own.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple
from urllib.parse import unquote, urlsplit

from . import access, alerts, dashboards, metrics, otlp, prices, search, streams_api, traces
from .http import Answer, Request, json_answer
from .organization import Organization
from .personality import Personality
from .routing import Call, Refused, Route, failed

_ROUTES: Tuple[Route, ...] = (
    *traces.ROUTES,
    *metrics.ROUTES,
    *search.ROUTES,
    *streams_api.ROUTES,
    *access.ROUTES,
    *dashboards.ROUTES,
    *alerts.ROUTES,
    *prices.ROUTES,
)
_CONFIG: Dict[str, Any] = json.loads((Path(__file__).parent / "config.json").read_text(encoding="utf-8"))
"""What ``/config`` of 0.91.5 answered, without what tells one build and one machine from another."""
_NEW_IN_0_91 = ("online_evals_enabled", "timechart_enabled")


class Limits:
    """What an operator can set: ZO_INGEST_ALLOWED_UPTO (hours), ZO_PAYLOAD_LIMIT (bytes), ZO_COLS_PER_RECORD_LIMIT, and
    whether destinations of alerts must be public hosts (a server's default; the recorded one had it off).
    """

    def __init__(
        self,
        ingest_allowed_upto_h: float = 5,
        payload_bytes: int = 209715200,
        columns: int = 1000,
        ssrf_guard: bool = False,
    ) -> None:
        self.ingest_allowed_upto_h = ingest_allowed_upto_h
        self.payload_bytes = payload_bytes
        self.columns = columns
        self.ssrf_guard = ssrf_guard


class Api:
    """State of one server and its answers. Callers hold a lock around ``answer``."""

    def __init__(
        self,
        personality: Personality,
        *,
        base_path: str,
        credentials: access.Credentials,
        orgs: Iterable[str],
        limits: Limits,
        now: Callable[[], float],
    ) -> None:
        self.personality = personality
        self.limits = limits
        self.collisions: List[str] = []
        self.orgs: Dict[str, Organization] = {name: Organization(name) for name in orgs}
        self.access = access.Access(credentials)
        self.now = now
        self._base_path = base_path

    def organization(self, name: str) -> Organization:
        """The organization of that name; it is created where there is none."""
        return self.orgs.setdefault(name, Organization(name))

    def is_trace_export(self, request: Request) -> bool:
        path = self._path(request)
        return request.method == "POST" and path is not None and re.fullmatch(traces.PATH, path) is not None

    def read(self, request: Request) -> None:
        """Read a trace export: sets ``decoded_size`` and ``message``, or ``fault`` for what the body deserves."""
        try:
            payload = otlp.decompress(
                request.body, request.headers.get("content-encoding", ""), self.limits.payload_bytes
            )
            request.decoded_size = len(payload)
            content_type = request.headers.get("content-type")
            if not otlp.is_accepted(content_type):
                # No header at all ends here too: a middleware takes it for a form (1.1 "Content-Type").
                raise otlp.BodyError(400, "Bad Request")
            decode = otlp.decode_json if otlp.is_json(content_type) else otlp.decode_protobuf
            request.message = decode(payload)
        except otlp.BodyError as error:
            request.fault = error.answer()

    def answer(self, request: Request) -> Answer:
        path = self._path(request)
        if path is None:
            return Answer(404)
        if request.method == "GET" and path in _OPEN:
            return _OPEN[path](self)
        routes = [(route, match) for route in _ROUTES for match in [re.fullmatch(route.path, path)] if match]
        if not routes:
            return Answer(404)
        answer = self._routed(request, routes)
        # Recorded: only what a route has answered names the node.
        return answer._replace(headers=dict(answer.headers, **{"x-api-node": "fake"}))

    def _routed(self, request: Request, routes: List[Tuple[Route, Any]]) -> Answer:
        for route, match in routes:
            if route.method != request.method:
                continue
            org, *names = (unquote(name) for name in match.groups())
            try:
                user, organization = self._admit(request, org, route.writes)
                return route.handler(Call(self, organization, user, request, tuple(names)))
            except Refused as refused:
                return refused.answer
        return Answer(405)

    def _path(self, request: Request) -> Optional[str]:
        # 1.1: with a base_uri everything is nested under it, and nothing stands outside.
        path = urlsplit(request.path).path
        if not path.startswith(self._base_path + "/"):
            return None
        return path[len(self._base_path) :]

    def _admit(self, request: Request, org: str, writes: bool) -> Tuple[str, Organization]:
        """Who calls, and the organization; Refused for one who may not (1.2, 1.3)."""
        user = self.access.user_of(request.headers.get("authorization"), writes, self.personality)
        if org in self.orgs:
            return user, self.orgs[org]
        if not self.access.is_root(user):
            raise Refused(access.UNAUTHORIZED)
        if not writes:
            raise Refused(failed(404, "Organization not found"))
        return user, self.organization(org)

    def health(self) -> Answer:
        return json_answer(200, {"status": "ok"})

    def config(self) -> Answer:
        """3.5: unauthenticated."""
        config = {
            key: value for key, value in _CONFIG.items() if self.personality.derives_gen_ai or key not in _NEW_IN_0_91
        }
        config.update(
            version=self.personality.version,
            instance="7532549242749976576",
            commit_hash="0" * 40,
            build_date="2026-11-28T21:23:45Z",
            model_pricing_enabled=self.personality.prices_models,
        )
        return json_answer(200, config)

    def root(self) -> Answer:
        return Answer(308, {"location": self._base_path + "/web/"})


_OPEN: Dict[str, Callable[[Api], Answer]] = {"/": Api.root, "/healthz": Api.health, "/config": Api.config}
"""What everybody may read."""
