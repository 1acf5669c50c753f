"""The page of ``report --html`` as Chromium shows it."""

from __future__ import annotations

import json
import struct
import zlib

import pytest

import browsers
import outboxes
from outboxes import call, failed_call

pytestmark = pytest.mark.skipif(bool(browsers.missing()), reason=browsers.missing())

NOON = 1_700_000_000 * 10**9
MINUTE = 60 * 10**9
HOSTILE = "</script><script>window.ran = 1</script><img src=x onerror='window.ran = 2'>"
QWEN = "Qwen/Qwen3-8B:fastest"


def messages(role, text):
    return json.dumps([{"role": role, "content": text}])


def stream(number, **more):
    said = {
        "gen_ai.input.messages": messages("user", f"question {number}"),
        "gen_ai.output.messages": messages("assistant", "long answer " * 2000 if number == 1 else "an answer"),
        "gen_ai.response.time_to_first_chunk": 0.125,
        "hf.stream.tokens_per_second": 80.5,
        "hf.provider.served": "groq",
        "llm.token_count.prompt_details.cache_read": 8,
        "gen_ai.usage.cost": 0.0003,
    }
    return call(start=NOON + number * MINUTE, duration_ms=100 * number + 1, more={**said, **more})


@pytest.fixture(scope="module")
def env(tmp_path_factory):
    directory = tmp_path_factory.mktemp("page")
    return outboxes.environment(directory, {"OPENOBSERVE_HF_OUTBOX_DIR": str(directory / "outbox")})


@pytest.fixture(scope="module")
def path(env, tmp_path_factory):
    """Of a page with 124 calls: streams, errors of two kinds, another model and service, and someone who means harm."""
    outboxes.leave(
        env["OPENOBSERVE_HF_OUTBOX_DIR"],
        "local",
        *(stream(number) for number in range(110)),
        *(
            call(QWEN, "qwen3-8b", tokens=None, start=NOON + n * MINUTE, duration_ms=1500, service="desk")
            for n in range(9)
        ),
        *(failed_call(start=NOON + number * MINUTE, duration_ms=20) for number in range(3)),
        failed_call(start=NOON, error_type="httpx.ReadTimeout", status_code=None),
        stream(120, **{"gen_ai.input.messages": messages("user", HOSTILE), "hf.provider.served": HOSTILE}),
    )
    made = tmp_path_factory.mktemp("made") / "report.html"
    assert outboxes.invoke(["report", "--html", made], env).exit_code == 0
    return made


@pytest.fixture(scope="module")
def browser():
    with browsers.chromium() as started:
        yield started


@pytest.fixture
def opened(browser, path):
    """Opens the page; at the end nothing may have gone wrong in it, and nothing been loaded."""
    wrong, pages = [], []

    def open_page(scheme="light", width=1280, height=900):
        page = browser.new_page(
            viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
        )
        pages.append(page)
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: wrong.append(request.url) if request.url != path.as_uri() else None)
        page.set_default_timeout(5000)
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]", state="attached")
        return page

    yield open_page
    ran = [page.evaluate("window.ran") for page in pages]
    for page in pages:
        page.close()
    assert (wrong, ran) == ([], [None] * len(pages))


def rows(page):
    return page.locator("table.calls tbody tr:not(.more)")


def is_blank(png):
    """Whether a picture has the same lines from top to bottom."""
    position, data = 8, b""
    while position < len(png):
        length, kind = struct.unpack(">I4s", png[position : position + 8])
        body = png[position + 8 : position + 8 + length]
        if kind == b"IHDR":
            width, height, depth, colours = struct.unpack(">IIBB", body[:10])
            assert (depth, colours) in ((8, 2), (8, 6))
        data += body if kind == b"IDAT" else b""
        position += length + 12
    lines = zlib.decompress(data)
    size = 1 + width * (3 if colours == 2 else 4)  # the first byte says how the line is told by its neighbours
    return len({lines[row * size : row * size + size] for row in range(height)}) < 50


DRAWN = """(canvas) => {
  const pixels = new Uint32Array(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer);
  return new Set(pixels).size;
}"""
"""How many colours are on a canvas."""


def says(page, text):
    """Wait until the line under the filters begins so."""
    page.locator(f"#shown:text-matches('^{text}')").wait_for()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_it_is_drawn_and_everybody_can_use_it(opened, scheme, width):
    from axe_playwright_python.sync_playwright import Axe

    page = opened(scheme, width)
    assert not is_blank(page.screenshot())
    assert rows(page).count() == 100
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(14, 17, 22)"
    assert dark == (scheme == "dark")
    for chart in ("latency", "tokens", "cost"):
        assert page.locator(f"#{chart} canvas").evaluate(DRAWN) > 10
    page.locator("details summary").first.click()
    page.locator("button.open").nth(1).click()
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    found = Axe().run(page)
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 320
    assert [(violation["id"], violation["nodes"][0]["html"]) for violation in found.response["violations"]] == []


def test_the_figures_are_the_commands(opened, env):
    shown = json.loads(outboxes.invoke(["report", "--json"], env).stdout)
    page = opened()

    def text(us):
        return f"{us / 1000:.0f} ms" if us < 1_000_000 else f"{us / 1e6:.2f} s"

    of_models = [
        [line.locator("th").inner_text().splitlines()[0], *(line.locator("td").nth(n).inner_text() for n in range(4))]
        for line in page.locator("#models tbody tr").all()
    ]
    assert of_models == [
        [
            figures["model"],
            str(figures["calls"]),
            str(figures["errors"]),
            text(figures["duration_us"]["p50"]),
            text(figures["duration_us"]["p95"]),
        ]
        for figures in shown["models"]
    ]
    tiles = dict(zip(page.locator("#tiles dt").all_inner_texts(), page.locator("#tiles b").all_inner_texts()))
    assert (tiles["Calls"], tiles["Errors"], tiles["First token"]) == ("124", "4", "125 ms")
    assert (tiles["Tokens in"], tiles["Tokens out"], tiles["Cost"]) == ("3,330", "1,332", "0.033")


def test_calls_are_filtered_by_the_keyboard_alone(opened):
    page = opened()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "f-text"
    page.keyboard.type("ONERROR answer")
    says(page, "1 of 124 calls")
    assert rows(page).count() == 1
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    for _ in range(4):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "f-outcome"
    page.keyboard.type("rate")
    says(page, "3 of")
    assert page.locator("#errors .error h3").all_inner_texts() == ["3 rate_limited"]
    assert "let the router choose (:fastest, :cheapest)" in page.locator("#errors").inner_text()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    says(page, "124 calls")


def test_a_call_shows_its_prompt_and_its_answer(opened):
    page = opened()
    assert page.locator("#errors .error").count() == 2
    page.locator("#sort-duration").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "sort-duration"
    assert page.locator("th[aria-sort]").all_inner_texts() == ["Latency ↓"]
    page.locator("button.open").first.focus()
    page.keyboard.press("Enter")
    details = page.locator("tr.more:not([hidden])")
    assert details.locator("pre").all_inner_texts() == [HOSTILE, "an answer"]
    assert HOSTILE in details.locator("dl").inner_text()
    assert page.locator("button.open").first.get_attribute("aria-expanded") == "true"
    page.keyboard.press("Enter")
    assert details.count() == 0
    page.locator("#more").click()
    assert rows(page).count() == 124


def test_a_dot_leads_to_its_call_and_colours_can_be_changed(opened):
    page = opened()
    page.locator("#theme").click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    dots = page.locator("#latency .u-over")
    box = dots.bounding_box()
    dots.hover(position={"x": box["width"] - 2, "y": 20})
    assert page.locator("#latency .tip").inner_text().splitlines()[1:] == [outboxes.LLAMA, "12.00 s"]
    dots.click(position={"x": box["width"] - 2, "y": 20})
    assert page.locator("tr.more:not([hidden]) pre").first.inner_text() == HOSTILE


def test_a_page_without_calls_says_so(browser, tmp_path):
    env = outboxes.environment(tmp_path, {"OPENOBSERVE_HF_OUTBOX_DIR": str(tmp_path / "outbox")})
    empty = tmp_path / "empty.html"
    assert outboxes.invoke(["report", "--html", empty], env).exit_code == 0
    page = browser.new_page()
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(empty.as_uri())
    assert page.locator("#table").inner_text() == "No calls."
    assert wrong == []
    page.close()
