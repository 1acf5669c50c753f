"""``examine`` runs the whole command in this process; each interpreter is really asked, and once per environment."""

from __future__ import annotations

import functools
import json
import os

import pytest

import outboxes
from hf_openobserve.cli.doctor import interpreter

_OF_THE_HOST = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "PYTHONPATH")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_really_ask = interpreter.ask


@pytest.fixture(autouse=True)
def _nothing_of_the_host(monkeypatch):
    for name in (*_OF_THE_HOST, *_PROXIES, *(name.lower() for name in _PROXIES)):
        monkeypatch.delenv(name, raising=False)


@functools.lru_cache(maxsize=None)
def _asked(path, environ, cwd, flags, imports):
    return _really_ask(path, dict(environ), cwd, flags, imports=imports)


@pytest.fixture(autouse=True)
def _ask_once(monkeypatch):
    def ask(path, environ, cwd, flags="", *, imports=True):
        decides = {name: environ[name] for name in ("PATH", "PYTHONPATH", "PYTHONHOME") if name in environ}
        return _asked(path, tuple(sorted(decides.items())), cwd, flags, imports)

    monkeypatch.setattr(interpreter, "ask", ask)


class Examined:
    """What the command said. ``lines``: (level, subject) -> sentence and remedy."""

    def __init__(self, status, shown):
        self.status = status
        self.findings = shown["findings"]
        self.lines = {(found["level"], found["subject"]): found for found in self.findings}

    def at(self, level):
        return [
            (found["subject"], found["sentence"], found["remedy"]) for found in self.findings if found["level"] == level
        ]

    def has(self, level, subject, sentence="", remedy=""):
        found = self.lines.get((level, subject))
        assert found is not None, self.at("red") + self.at("yellow") + [found["subject"] for found in self.findings]
        assert sentence in found["sentence"], found
        assert remedy in found["remedy"], found
        return found


@pytest.fixture
def env(tmp_path, openobserve):
    place = {"OPENOBSERVE_HF_OUTBOX_DIR": str(tmp_path / "outbox"), "OPENOBSERVE_TIMEOUT": "5"}
    return outboxes.environment(tmp_path, place, openobserve.environment)


@pytest.fixture
def examine(env):
    """The findings of ``doctor --json``.

    Whatever is wrong: one line of JSON, no secret, and a remedy for what is red.
    """

    def run(*arguments, **more):
        given = {**env, **more}
        done = outboxes.invoke(["doctor", "--json", *arguments], given)
        token = given.get("OPENOBSERVE_AUTH_TOKEN")
        assert token is None or token.partition(" ")[2] not in done.output
        assert "Complexpass" not in done.output
        (line,) = done.stdout.splitlines()
        shown = json.loads(line)
        assert shown["status"] == done.exit_code
        assert all(found["remedy"] for found in shown["findings"] if found["level"] == "red")
        assert not os.environ.get("OPENOBSERVE_URL"), "what it has done to the environment is undone"
        return Examined(done.exit_code, shown)

    return run
