"""The way to the destination, one layer after the other: proxy, name, connection, TLS, and what answers there.

Each layer is tried as the agent uses it: by its own session, with its files of certificates and the proxies of the
environment.
"""

from __future__ import annotations

import email.utils
import json
import queue
import re
import socket
import threading
import time
from typing import Any, Iterator, List, Optional, Tuple
from urllib.parse import SplitResult, urlsplit

from hf_openobserve.cli.doctor.finding import Finding, green, red, yellow
from hf_openobserve.config import environment_variables as names
from hf_openobserve.config.destination import Destination
from hf_openobserve.config.settings import Settings
from hf_openobserve.config.urls import netloc
from hf_openobserve.openobserve import certificates
from hf_openobserve.openobserve.connection_errors import innermost
from hf_openobserve.openobserve.ingest import parse_version
from hf_openobserve.openobserve.session import Deadline, import_requests, open_session, verify
from hf_openobserve.process import silence

OLDEST_VERSION = (0, 80)
_DNS_TIMEOUT_S = 5.0
_CONNECT_TIMEOUT_S = 3.0
_ANSWER_TIMEOUT_S = 10.0
_SKEW_S = 60.0
"""From here on the times in OpenObserve are visibly wrong."""
_FUTURE_S = 24 * 3600.0
"""A span that begins later than that, by the server's clock, is not taken (docs/server-contract.md#window)."""
CLOCK = "clock"


def check(settings: Settings) -> Iterator[Finding]:
    """Ends at the first layer that is broken: those behind it cannot be tried."""
    destination = settings.destination
    if destination.kind == "local":
        yield _no_destination(settings)
        return
    yield green("address", f"{destination.shown_endpoint} ({destination.kind})", endpoint=destination.shown_endpoint)
    hop = _first_hop(destination)
    if hop.proxy:
        yield green("proxy", f"{_shown(hop.parts)}, by the environment's variables")
    for layer in (_name, _connection):
        found = layer(hop)
        yield found
        if found.level == "red":
            return
    answer = _Answer(destination)
    if answer.error is not None:
        yield _unreachable(destination, hop, answer.error)
        return
    if destination.uses_tls:
        trusted = destination.tls.authorities or destination.tls.directories or "those of requests"
        yield green("TLS", f"the certificate is valid, by the authorities of {trusted}")
    if hop.proxy and answer.status in (403, 407):
        yield _proxy_refuses(hop, f"it answers {answer.status}")
        return
    if destination.kind == "openobserve":
        yield _version(answer)
    yield from _clock(answer, settings.window_s)


class _Hop:
    """Whom the first connection goes to: the server, or the proxy before it."""

    def __init__(self, parts: SplitResult, proxy: bool) -> None:
        self.parts = parts
        self.proxy = proxy
        self.host = parts.hostname or ""
        self.port = parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def remedy(self) -> str:
        """Which variable is to be corrected."""
        if self.proxy:
            return "Correct HTTPS_PROXY or HTTP_PROXY, or name the server in NO_PROXY"
        return f"Correct {names.OPENOBSERVE_URL}, or let the network of this machine reach it"


class _Answer:
    """What a question that needs no right is answered with. ``error``: of the connection, if there is no answer."""

    def __init__(self, destination: Destination) -> None:
        self.status = 0
        self.headers: Any = {}
        self.body = b""
        self.error: Optional[Exception] = None
        wrong = certificates.fault(destination) if destination.uses_tls else ""
        if wrong:
            self.error = _UnusableFileError(wrong)
            return
        url = destination.base_url + "/config" if destination.base_url else destination.endpoint
        deadline = Deadline()
        timeout_s = min(_ANSWER_TIMEOUT_S, destination.timeout_s)
        try:
            with silence.http_logging():
                session = open_session(destination, deadline)
                deadline.start(timeout_s)
                before = time.time()
                response = session.get(
                    url, timeout=timeout_s, verify=verify(destination), allow_redirects=False, stream=True
                )
                self.asked_at = (before + time.time()) / 2
                self.status, self.headers = response.status_code, response.headers
                self.body = next(response.iter_content(64 * 1024), b"")
                session.close()
        except Exception as error:  # noqa: BLE001 - whatever an address, a proxy or an answer makes the library raise
            self.error = error


class _UnusableFileError(Exception):
    """A file that TLS needs is missing or cannot be used; the text is for a person."""


def _no_destination(settings: Settings) -> Finding:
    if not settings.enabled and settings.problems:
        return yellow("address", "not tried: the settings above are wrong", "Correct them first")
    what = "no server is configured: spans stay in the outbox, and `hf-openobserve report` shows them"
    three = f"{names.OPENOBSERVE_URL}, {names.OPENOBSERVE_ORG} and {names.OPENOBSERVE_AUTH_TOKEN}"
    return yellow("address", what, f"Set {three}")


def _first_hop(destination: Destination) -> _Hop:
    utils = import_requests().utils
    proxy = utils.select_proxy(destination.endpoint, utils.get_environ_proxies(destination.endpoint, no_proxy=None))
    if not proxy:
        return _Hop(urlsplit(destination.endpoint), proxy=False)
    return _Hop(urlsplit(proxy if "://" in proxy else f"http://{proxy}"), proxy=True)


def _shown(parts: SplitResult) -> str:
    return f"{parts.scheme}://{netloc(parts)}"


def _name(hop: _Hop) -> Finding:
    # The resolver has its own timeouts, which may be minutes.
    answers: queue.Queue[Tuple[List[str], str]] = queue.Queue()
    threading.Thread(target=_resolve, args=(hop, answers), daemon=True).start()
    try:
        addresses, error = answers.get(timeout=_DNS_TIMEOUT_S)
    except queue.Empty:
        addresses, error = [], f"no answer within {_DNS_TIMEOUT_S:.0f} s"
    if addresses:
        return green("DNS", f"{hop.host} is {', '.join(addresses)}")
    return red("DNS", f"{hop.host} is not resolved ({error})", hop.remedy)


def _resolve(hop: _Hop, answers: queue.Queue[Tuple[List[str], str]]) -> None:
    try:
        found = socket.getaddrinfo(hop.host, hop.port, type=socket.SOCK_STREAM)
        answers.put((list(dict.fromkeys(str(address[4][0]) for address in found)), ""))
    except (OSError, UnicodeError) as error:
        answers.put(([], getattr(error, "strerror", None) or str(error)))


def _connection(hop: _Hop) -> Finding:
    what = "the proxy" if hop.proxy else "the server"
    try:
        socket.create_connection((hop.host, hop.port), timeout=_CONNECT_TIMEOUT_S).close()
    except OSError as error:
        text = "no answer" if isinstance(error, socket.timeout) else error.strerror or str(error)
        if hop.proxy:
            return _proxy_refuses(hop, text)
        remedy = f"Start the server, open the way to port {hop.port}, or correct {names.OPENOBSERVE_URL}"
        return red("TCP", f"{hop.host}:{hop.port} cannot be connected to ({text})", remedy)
    return green("TCP", f"{what} takes connections on port {hop.port}")


def _proxy_refuses(hop: _Hop, how: str) -> Finding:
    return red("proxy", f"{_shown(hop.parts)} does not let the agent through ({how})", hop.remedy)


def _unreachable(destination: Destination, hop: _Hop, error: Exception) -> Finding:
    exceptions = import_requests().exceptions
    if isinstance(error, _UnusableFileError):
        return red("TLS", str(error).partition("; ")[0], "Name a file of PEM, or unset the variable")
    text = innermost(error)
    if isinstance(error, exceptions.ProxyError) or (hop.proxy and "unnel" in text):
        return _proxy_refuses(hop, text)
    if isinstance(error, exceptions.SSLError):
        return _tls(destination, text)
    if isinstance(error, exceptions.Timeout) or "timed out" in text:
        what = f"{destination.shown_endpoint} takes the connection and does not answer ({text})"
        return red("answer", what, "Look whether the server is well, and whether the port is its own")
    remedy = f"Look whether {names.OPENOBSERVE_URL} begins with the right scheme (http or https) and names its port"
    return red("answer", f"{destination.shown_endpoint} answers with what is no HTTP ({text})", remedy)


def _tls(destination: Destination, text: str) -> Finding:
    unusable = certificates.unusable(destination)
    if unusable:
        return red("TLS", unusable.partition("; ")[0], "Name a file of PEM, or unset the variable")
    if "WRONG_VERSION_NUMBER" in text or "UNKNOWN_PROTOCOL" in text or "record layer" in text:
        remedy = f"Write http:// in {names.OPENOBSERVE_URL}, or let the server speak TLS"
        return red("TLS", f"that port speaks no TLS ({text})", remedy)
    if "expired" in text:
        return red("TLS", f"the server's certificate has expired ({text})", "Renew it, or correct this machine's clock")
    if "ostname mismatch" in text or "IP address mismatch" in text or "doesn't match" in text:
        remedy = f"Write the name of the certificate in {names.OPENOBSERVE_URL}"
        return red("TLS", f"the server's certificate is another name's ({text})", remedy)
    variable = names.REQUESTS_CA_BUNDLE
    remedy = f"Set {variable} to a file (PEM) with the certificate of the authority that signed the server's"
    return red("TLS", f"the server's certificate is of an authority that is not known here ({text})", remedy)


def _version(answer: _Answer) -> Finding:
    version = parse_version(answer.body.decode("utf-8", "replace")) if answer.status == 200 else None
    text = ".".join(map(str, version)) if version else ""
    if version is None:
        if answer.status == 200 and _is_json(answer.body):
            return green("version", "the server does not tell its version: taken for a current one")
        what = f"/config is answered by something else than OpenObserve ({_what_answers(answer)})"
        return yellow("version", what, f"See below; if nothing arrives, correct {names.OPENOBSERVE_URL}")
    if version < OLDEST_VERSION:
        oldest = ".".join(map(str, OLDEST_VERSION))
        what = f"OpenObserve {text} is older than {oldest}: spans are stored, and not all promised columns stand there"
        return yellow("version", what, f"Update OpenObserve to {oldest} or newer", version=text)
    return green("version", f"OpenObserve {_told(answer.body) or text}", version=text)


def _what_answers(answer: _Answer) -> str:
    if 300 <= answer.status < 400:
        parts = urlsplit(answer.headers.get("location", ""))
        return f"{answer.status}, redirect to {_shown(parts) if parts.netloc else ''}{parts.path}"
    return "200, a web page" if answer.status == 200 else str(answer.status)


def _is_json(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body.decode("utf-8")), dict)
    except ValueError:
        return body[:1] == b"{"  # the beginning of a long one


def _told(body: bytes) -> str:
    match = re.search(rb'"version"\s*:\s*"v?([\w.+-]{1,40})"', body)
    return match.group(1).decode() if match else ""


def _clock(answer: _Answer, window_s: Optional[float]) -> Iterator[Finding]:
    date = answer.headers.get("date", "")
    try:
        theirs = email.utils.parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        yield green(CLOCK, "not compared: the server sends no date")
        return
    ahead = answer.asked_at - theirs
    text = f"this machine's clock is {_duration(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} the server's"
    remedy = "Set this machine's clock, or the server's, by NTP (timedatectl set-ntp true)"
    if (window_s and -ahead > window_s) or ahead > _FUTURE_S:
        bound = f"began more than {window_s / 3600:g} h ago" if ahead < 0 and window_s else "begins a day from now"
        yield red(CLOCK, f"{text}: for the server every span {bound}, and it takes none", remedy)
    elif abs(ahead) > _SKEW_S:
        yield yellow(CLOCK, f"{text}: spans stand at another time than people look for them", remedy)
    else:
        yield green(CLOCK, "as the server's, within a minute")


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"
