"""``hf-openobserve prices``: what it shows, and what it takes from the router."""

from __future__ import annotations

import json
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

import outboxes
from hf_openobserve.cli.prices import from_router
from hf_openobserve.config.prices import Price, PriceList

OSS = "openai/gpt-oss-20b"


@pytest.fixture
def env(tmp_path):
    return {"XDG_STATE_HOME": str(tmp_path / "state"), "HOME": str(tmp_path)}


def model(name, **providers):
    offers = [
        {"provider": provider, "pricing": {"input": price[0], "output": price[1]}}
        for provider, price in providers.items()
    ]
    return {
        "id": name,
        "providers": [*offers, {"provider": "unpriced"}, {"provider": "odd", "pricing": {"input": "x"}}],
    }


def known(*prices):
    return PriceList({OSS: {provider: Price(Decimal(str(one)), Decimal(str(one))) for provider, one in prices}})


@pytest.mark.parametrize(
    ("before", "offers", "taken"),
    [
        ((), {"a": (0.1, 0.2)}, "a"),
        ((), {"a": (0.1, 0.2), "b": (0.12, 0.3), "c": (10000, 20000)}, "a b"),
        ((("a", 0.1), ("b", 0.1)), {"a": (1e-7, 2e-7), "b": (0.2, 0.2), "c": (1e-7, 2e-7)}, "b"),
        ((("a", 0.1), ("b", 9), ("c", 10)), {"a": (0.05, 0.2)}, "a"),
        ((("a", 0.1),), {"a": (0.0, 0.0)}, "a"),
        ((("z", 0.1),), {"a": (-1, 0.1), "b": (True, 1), "c": ("0.2", "0.3")}, "c"),
    ],
)
def test_what_is_taken_of_the_routers_list(before, offers, taken):
    found, refused = from_router({"data": [model(OSS, **offers), 1, {"id": 2}]}, known(*before))
    assert list(found) == [OSS]
    assert sorted(found[OSS]) == taken.split()
    sound = [
        name for name, price in offers.items() if all(not isinstance(one, bool) and float(one) >= 0 for one in price)
    ]
    assert len(refused) == len(sound) - len(taken.split())


@pytest.mark.parametrize("answer", [None, [], {}, {"data": 1}, {"data": [model(OSS)]}])
def test_an_answer_without_prices(answer):
    with pytest.raises(ValueError, match="no prices"):
        from_router(answer, PriceList({}))


class Router(BaseHTTPRequestHandler):
    answer: bytes = b""

    def do_GET(self):
        self.send_response(200 if self.path == "/v1/models" else 404)
        self.send_header("content-length", str(len(self.answer)))
        self.end_headers()
        self.wfile.write(self.answer)

    def log_message(self, *_):
        pass


def test_update_then_show_and_check(env, tmp_path):
    assert outboxes.invoke(["prices"], env).stdout.startswith("package of 20")
    Router.answer = json.dumps(
        {"data": [model("test/model", novita=(0.25, 0.5)), model(OSS, groq=(7000, 9000))]}
    ).encode()
    with HTTPServer(("127.0.0.1", 0), Router) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/v1/models"
        done = outboxes.invoke(["prices", "update", "--url", address], env)
        wrong = outboxes.invoke(["prices", "update", "--url", address + "x"], env)
        server.shutdown()
    file = tmp_path / "state" / "hf-openobserve" / "prices.json"
    assert (done.exit_code, done.stdout) == (0, f"1 prices of 1 models in {file}\n")
    assert OSS in done.stderr, "that price is a mistake"
    assert (file.stat().st_mode & 0o777, [path.name for path in file.parent.iterdir()]) == (0o600, ["prices.json"])
    assert (wrong.exit_code, "answers 404" in wrong.stderr) == (1, True)
    (tmp_path / "mine.json").write_text('{"per_million_tokens": {"x/y": {"*": {"input": 1, "output": 1}, "z": 1}}}')
    env["OPENOBSERVE_HF_PRICES"] = str(tmp_path / "mine.json")
    lists = json.loads(outboxes.invoke(["prices", "--json"], env).stdout)["lists"]
    assert [(one["name"], one["prices"]) for one in lists][:2] == [("OPENOBSERVE_HF_PRICES", 1), ("router", 1)]
    assert len(lists[0]["problems"]) == 1
    for asked, price in (("Test/Model:novita", "0.25 USD"), ("test/model", "0.5 USD"), ("x/y:anyone", "1 USD")):
        done = outboxes.invoke(["prices", "check", asked], env)
        assert (done.exit_code, price in done.stdout) == (0, True), done.output
    done = outboxes.invoke(["prices", "check", "no/such"], env)
    assert (done.exit_code, done.stdout) == (1, "")


def test_a_list_that_cannot_be_used_is_said(env, tmp_path):
    done = outboxes.invoke(["prices"], {**env, "OPENOBSERVE_HF_PRICES": str(tmp_path / "none.json")})
    assert "No such file" in done.stderr
    assert done.stdout.startswith("package")


def test_which_calls_of_the_outbox_have_a_price(env, tmp_path):
    prices = tmp_path / "mine.json"
    prices.write_text(json.dumps({"per_million_tokens": {OSS: {"groq": {"input": 1, "output": 1}}}}))
    env = {**env, "OPENOBSERVE_HF_PRICES": str(prices), "OPENOBSERVE_HF_OUTBOX_DIR": str(tmp_path / "outbox")}
    assert json.loads(outboxes.invoke(["prices", "--json"], env).stdout)["outbox"] == {
        "calls": 0,
        "priced": 0,
        "unpriced": [],
    }

    def routed(provider, **more):
        names = {"hf.model.base": OSS, "hf.provider.served": provider, "llm.observation.type": "GENERATION"}
        counts = {"gen_ai.usage.input_tokens": 30, "gen_ai.usage.output_tokens": 12}
        return outboxes.call(OSS, more={**names, **counts}, **more)

    served = ("groq", "groq", "unlisted", "unlisted", "hf-inference")
    outboxes.leave(
        tmp_path / "outbox",
        "local",
        *map(routed, served),
        outboxes.failed_call(),
        routed("nobody", tokens=None),
    )
    shown = json.loads(outboxes.invoke(["prices", "--json"], env).stdout)["outbox"]
    assert (shown["calls"], shown["priced"]) == (5, 2)
    assert [(one["model"], one["provider"], one["calls"]) for one in shown["unpriced"]] == [
        (OSS, "unlisted", 2),
        (OSS, "hf-inference", 1),
    ]
    text = outboxes.invoke(["prices"], env).stdout
    assert "Of 5 calls in the outbox that count tokens, 2 have a price." in text
    assert f"without one: {OSS} at unlisted, calls: 2" in text
