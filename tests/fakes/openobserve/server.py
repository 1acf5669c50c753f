"""The fake as a test holds it: start it, send to it, ask what it has."""

from __future__ import annotations

import base64
import email.utils
import threading
import time
from types import TracebackType
from typing import Any, Callable, Dict, List, Optional, Sequence, Type, Union

from . import sql
from .access import Credentials
from .api import Api, Limits
from .http import BEHAVIOURS, Answer, Request, Server
from .organization import TRACES
from .personality import NEWEST_RECORDED, personality
from .routing import failed
from .streams import Stream


class FakeOpenObserve:
    """One server. ``with FakeOpenObserve() as server: ...``; an error of the fake's own is raised at the end.

    ``version``: the newest one that was recorded, unless a test is about another.
    ``now``: the server's clock, epoch seconds. ``root``: whether the user is root (an unknown organization is created
    on ingest) or an ordinary one (401). ``requests``: everything received, in order. ``collisions``: a sentence for
    each stored value whose winner would be random on a real server; a test of what is sent asserts that it is empty.
    """

    def __init__(
        self,
        version: str = NEWEST_RECORDED,
        *,
        base_path: str = "",
        user: str = "root@example.com",
        password: str = "Complexpass#123",
        ingestion_token: str = "o2oi_fake_token_of_the_tests",
        root: bool = True,
        orgs: Sequence[str] = ("default",),
        limits: Optional[Limits] = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.requests: List[Request] = []
        self.auth_token = _basic(user, password)
        self.ingestion_auth_token = _basic("anyone", ingestion_token)
        self._base_path = "/" + base_path.strip("/") if base_path.strip("/") else ""
        self._org = orgs[0]
        self._api = Api(
            personality(version),
            base_path=self._base_path,
            credentials=Credentials(user, password, ingestion_token, root),
            orgs=orgs,
            limits=limits or Limits(),
            now=now,
        )
        # One lock for everything that is stored, and what wait_for_rows waits on.
        self._changed = threading.Condition(threading.RLock())
        self._script: List[Answer] = []
        self._server: Optional[Server] = None
        self._port = 0
        self._earlier_connections = 0
        self._faults: List[str] = []

    def __enter__(self) -> FakeOpenObserve:  # noqa: PYI034 - typing.Self is Python 3.11
        self.start()
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.stop()
        if self._faults and error is None:
            raise AssertionError("the fake OpenObserve failed:\n" + "\n".join(self._faults))

    def start(self) -> None:
        """Listen: at first on a free port, after ``stop`` on the same one again, with everything stored still there."""
        self._server = Server(self._port, self._respond)
        self._port = self._server.server_port

    def stop(self) -> None:
        """An outage: the port refuses connections, those that were open are closed."""
        if self._server is None:
            return
        self._server.stop()
        self._earlier_connections += self._server.connections
        self._faults.extend(self._server.faults)
        self._server = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}{self._base_path}"

    @property
    def environment(self) -> Dict[str, str]:
        """The product's variables that lead here."""
        return {
            "OPENOBSERVE_URL": self.url,
            "OPENOBSERVE_ORG": self._org,
            "OPENOBSERVE_AUTH_TOKEN": self.auth_token,
        }

    @property
    def version(self) -> str:
        return self._api.personality.version

    @version.setter
    def version(self, version: str) -> None:
        """An upgrade: other behaviour from the next request on, same streams."""
        with self._changed:
            self._api.personality = personality(version)

    @property
    def connections(self) -> int:
        """TCP connections accepted so far."""
        return self._earlier_connections + (self._server.connections if self._server else 0)

    @property
    def collisions(self) -> List[str]:
        with self._changed:
            return list(self._api.collisions)

    def script(self, *answers: Union[int, Answer]) -> None:
        """The next trace exports get these answers, one each, before processing (see ``Answer``; an int: a status)."""
        scripted = [_scripted(answer) for answer in answers]
        with self._changed:
            self._script.extend(scripted)

    def streams(self, org: Optional[str] = None, stream_type: str = TRACES) -> List[str]:
        with self._changed:
            return sorted(self._streams(org, stream_type))

    def rows(
        self, stream: str = "default", org: Optional[str] = None, timeout: float = 0, count: Optional[int] = None
    ) -> List[Dict[str, Any]]:
        """Stored rows as columns, in order of arrival; a column a row has no value for is not in it.

        Waits up to ``timeout`` seconds for ``count`` rows (None: one), and returns what is there then, more or less.
        ``org`` None: the first of ``orgs``.
        """
        with self._changed:
            self._changed.wait_for(lambda: len(self._stored(stream, org)) >= (1 if count is None else count), timeout)
            return [dict(row) for row in self._stored(stream, org)]

    def wait_for_rows(
        self, count: int, timeout: float = 10, stream: str = "default", org: Optional[str] = None
    ) -> List[Dict[str, Any]]:
        """At least ``count`` rows, or AssertionError with what is there after ``timeout`` seconds."""
        rows = self.rows(stream, org, timeout, count)
        if len(rows) < count:
            raise AssertionError(
                f"{len(rows)} of {count} rows after {timeout} s: {[row['operation_name'] for row in rows]}; "
                f"streams: {self.streams(org)}; collisions: {self.collisions}; requests: {self.requests}"
            )
        return rows

    def columns(self, stream: str = "default", org: Optional[str] = None) -> Dict[str, str]:
        """Column to type: ``Utf8``, ``Int64``, ``UInt64`` or ``Float64``; empty for a stream that does not exist."""
        with self._changed:
            found = self._streams(org).get(stream)
            return dict(found.columns) if found else {}

    def is_llm_stream(self, stream: str = "default", org: Optional[str] = None) -> bool:
        with self._changed:
            found = self._streams(org).get(stream)
            return found is not None and found.is_llm_stream

    def sql(self, query: str, stream_type: str = TRACES, org: Optional[str] = None) -> List[Dict[str, Any]]:
        """Rows of a SELECT over all stored rows; FieldNotFound, StreamNotFound or SqlError as in the search API."""
        with self._changed:
            return sql.run(query, self._streams(org, stream_type))

    def _respond(self, request: Request) -> Answer:
        scripted = None
        is_export = self._api.is_trace_export(request)
        if is_export:
            self._api.read(request)
        with self._changed:
            self.requests.append(request)
            if is_export and self._script:
                scripted = self._script.pop(0)
            if scripted is None:
                return self._process(request)
            if scripted.status is None and scripted.behaviour == "normal":
                own = self._process(request)
                return scripted._replace(
                    status=own.status, headers=dict(own.headers, **scripted.headers), body=own.body
                )
            if scripted.store:
                own = self._process(request)
                if scripted.status is None:
                    return scripted._replace(status=own.status, headers=own.headers, body=own.body)
            return scripted

    def _process(self, request: Request) -> Answer:
        answer = self._api.answer(request)
        self._changed.notify_all()
        date = email.utils.formatdate(self._api.now(), usegmt=True)  # of the server's clock, as hyper writes it
        return answer._replace(headers={"date": date, **answer.headers})

    def _streams(self, org: Optional[str], stream_type: str = TRACES) -> Dict[str, Stream]:
        found = self._api.orgs.get(self._org if org is None else org)
        return found.streams.get(stream_type, {}) if found else {}

    def _stored(self, stream: str, org: Optional[str]) -> List[Dict[str, Any]]:
        found = self._streams(org).get(stream)
        return found.rows if found else []


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode((user + ":" + password).encode("utf-8")).decode("ascii")


def _scripted(answer: Union[int, Answer]) -> Answer:
    if isinstance(answer, Answer):
        if answer.behaviour not in BEHAVIOURS:
            raise ValueError("not a behaviour: " + answer.behaviour)
        return answer
    if answer < 300:
        return Answer(answer)
    # 1.3: the shape all refusals have in common.
    return failed(answer, "scripted")
