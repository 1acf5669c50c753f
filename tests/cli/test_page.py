from __future__ import annotations

import base64
import hashlib
import json
import re
import stat
from html.parser import HTMLParser
from pathlib import Path

import pytest

import hf_openobserve.cli
import outboxes
from hf_openobserve.cli import page
from outboxes import call, failed_call

UPLOT = Path(hf_openobserve.cli.__file__).parent / "assets" / "uplot"
HOSTILE = (
    "</script><script>window.ran = 1</script><!-- <img src=x onerror='window.ran = 2'> {{scripts}} \u2028 & \\u003c"
)


def messages(*texts):
    return json.dumps([{"role": "user", "content": text} for text in texts])


@pytest.fixture
def env(tmp_path):
    return outboxes.environment(tmp_path, {"OPENOBSERVE_HF_OUTBOX_DIR": str(tmp_path / "outbox")})


@pytest.fixture
def root(tmp_path):
    return tmp_path / "outbox"


class Parsed(HTMLParser):
    """The elements of a page; the texts of its scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.elements = []
        self.texts = []
        self.within = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self.texts.append([tag, dict(attrs), ""])
        self.within = tag in ("script", "style")

    def handle_endtag(self, tag):
        self.within = False

    def handle_data(self, data):
        if self.within:
            self.texts[-1][2] += data

    def data(self):
        return json.loads(next(text for _, attributes, text in self.texts if attributes.get("id") == "data"))


def made(env, tmp_path, *arguments):
    """The page of the outbox: its text, and its elements."""
    path = tmp_path / "report.html"
    done = outboxes.invoke(["report", "--html", path, *arguments], env)
    assert (done.exit_code, done.stderr) == (0, "")
    text = path.read_text(encoding="utf-8")
    return text, Parsed(text)


def test_what_calls_say_is_data_and_never_markup(env, root, tmp_path):
    said = messages(HOSTILE + "\ud800")  # half of a character: no text that a file can hold
    outboxes.leave(
        root,
        "local",
        call(HOSTILE, HOSTILE, service=HOSTILE, more={"gen_ai.input.messages": said, "hf.provider.served": HOSTILE}),
        failed_call(error=HOSTILE, error_type=HOSTILE),
    )
    _, parsed = made(env, tmp_path)
    _, plain = made(env, tmp_path, "--since", "0s")
    assert parsed.elements == plain.elements
    first, second = parsed.data()["calls"]
    assert (first["model"], first["answered_by"], first["service"], first["served_by"]) == (HOSTILE,) * 4
    assert first["sent"][0]["parts"][0]["text"] == HOSTILE + "\ud800"
    assert second["error"]["message"] == second["error"]["type"] == HOSTILE


def test_no_other_script_may_run_and_nothing_is_loaded(env, root, tmp_path):
    outboxes.leave(root, "local", call())
    _, parsed = made(env, tmp_path)
    policy = next(attributes["content"] for tag, attributes in parsed.elements if "http-equiv" in attributes)
    allowed = {
        name: re.findall(r"'sha256-([^']+)'", directive)
        for name, _, directive in (part.strip().partition(" ") for part in policy.split(";"))
    }
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for tag, attributes, text in parsed.texts:
        if attributes.get("type") != "application/json":
            assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in allowed[f"{tag}-src"]
    addresses = [
        value for _, attributes in parsed.elements for name, value in attributes.items() if name in ("src", "href")
    ]
    assert sorted(addresses) == ["#calls", "data:,"]


def test_the_page_is_its_owners_and_replaces_another_one(env, root, tmp_path):
    outboxes.leave(root, "local", call())
    path = tmp_path / "report.html"
    path.write_text("an older one")
    path.chmod(0o644)
    text, _ = made(env, tmp_path)
    assert text.startswith("<!doctype html>")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [found.name for found in tmp_path.glob("*.html")] + list(tmp_path.glob(".*")) == ["report.html"]


def test_a_page_that_cannot_be_written_is_said(env, root, tmp_path):
    outboxes.leave(root, "local", call())
    done = outboxes.invoke(["report", "--html", tmp_path / "missing" / "report.html"], env)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.endswith("missing/report.html cannot be written: No such file or directory\n")


def test_beside_the_page_json_tells_the_figures(env, root, tmp_path):
    outboxes.leave(root, "local", call())
    done = outboxes.invoke(["report", "--html", tmp_path / "report.html", "--json"], env)
    shown = json.loads(done.stdout)
    assert (shown["html"], shown["total"]["calls"]) == (str(tmp_path / "report.html"), 1)


def test_without_content_no_word_of_a_prompt_is_in_it(env, root, tmp_path):
    more = {"gen_ai.input.messages": messages("canary-in-question"), "gen_ai.output.messages": messages("canary-too")}
    outboxes.leave(root, "local", call(more=more), call())
    text, parsed = made(env, tmp_path)
    assert "canary-in-question" in text
    assert "canary-too" in text
    text, parsed = made(env, tmp_path, "--no-content")
    assert "canary" not in text
    assert {found["content_note"] for found in parsed.data()["calls"]} == {"left out of this page", "not captured"}


@pytest.mark.parametrize("arguments", [["--no-content"], ["--from", "openobserve", "--dir", "."]])
def test_options_that_mean_nothing_together_are_refused(env, arguments):
    done = outboxes.invoke(["report", *arguments], env)
    assert (done.exit_code, done.stdout) == (2, "")
    assert arguments[0].replace("--from", "--dir") in done.stderr


def test_the_page_stays_small_however_much_there_is(env, root, tmp_path, monkeypatch):
    monkeypatch.setattr(page, "MOST_CALLS", 3)
    monkeypatch.setattr(page, "LONGEST_TEXT", 100)
    monkeypatch.setattr(page, "MOST_TEXT", 150)
    texts = ["a" * 99, "b" * 40, "c" * 10, "d" * 101]
    outboxes.leave(
        root,
        "local",
        *(call(age_s=-n, more={"gen_ai.input.messages": messages(text)}) for n, text in enumerate(texts)),
    )
    _, parsed = made(env, tmp_path)
    data = parsed.data()
    assert data["calls_left_out"] == 1
    shown = [found["sent"][0]["parts"][0] if "sent" in found else found["content_note"] for found in data["calls"]]
    assert shown == [
        {"label": "", "text": "b" * 40, "left_out": 0},
        {"label": "", "text": "c" * 10, "left_out": 0},
        {"label": "", "text": "d" * 100, "left_out": 1},
    ]
    monkeypatch.setattr(page, "MOST_TEXT", 120)
    assert made(env, tmp_path)[1].data()["calls"][0]["content_note"] == "left out: the page would be too large"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", []),
        ('[{"role": "user", "content": "hi"}]', [("user", "", [("", "hi")])]),
        ('[{"role": "assistant", "content": "hi", "finish_reason": "stop"}]', [("assistant", "stop", [("", "hi")])]),
        (
            '[{"role": "user", "content": [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": "x"}]}]',
            [("user", "", [("", 'see\n{\n  "type": "image_url",\n  "image_url": "x"\n}')])],
        ),
        (
            (
                '[{"role": "assistant", "content": "f({})", '
                '"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}]'
            ),
            [("assistant", "", [("tool calls", "f({})")])],
        ),
        ('[{"role": "assistant", "content": "", "reasoning": "so"}]', [("assistant", "", [("reasoning", "so")])]),
        ('{"input": ["a"]}', [("", "", [("", '{\n  "input": [\n    "a"\n  ]\n}')])]),
        ('[{"role": "user", "content": "cut of', [("", "", [("", '[{"role": "user", "content": "cut of')])]),
        ("[" * 100_000, [("", "", [("", "[" * 20_000)])]),
    ],
)
def test_conversations_of_every_form(text, shown):
    assert [
        (found["role"], found.get("finish_reason", ""), [(part["label"], part["text"]) for part in found["parts"]])
        for found in page.conversation(text)
    ] == shown


def test_the_charts_library_goes_with_its_licence_and_is_the_one_that_is_named(env, root, tmp_path):
    text, _ = made(env, tmp_path)
    assert "Permission is hereby granted, free of charge" in text
    note = (UPLOT / "README.md").read_text(encoding="utf-8")
    version = re.search(r"uPlot (\d+\.\d+\.\d+)", note).group(1)
    assert f"(v{version})" in (UPLOT / "uPlot.iife.min.js").read_text(encoding="utf-8")[:100]
    for name, digest in re.findall(r"^\| `([^`]+)` \| `([0-9a-f]{64})` \|$", note, re.MULTILINE):
        assert hashlib.sha256((UPLOT / name).read_bytes()).hexdigest() == digest
    assert len(re.findall(r"[0-9a-f]{64}", note)) == 3
