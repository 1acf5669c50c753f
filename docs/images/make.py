"""The pictures of the README: python docs/images/make.py (needs Chromium, and ``make test``'s environment).

An ordinary program (assistant.py) runs under the agent. Its models are played by a script, so that a picture needs no
account; OpenObserve by the tests' fake, whose price list gives the calls their cost. What is pictured is what the
commands made of it.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Union

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
sys.path.insert(0, str(REPOSITORY / "tests"))

from browsers import chromium
from fakes.openobserve import FakeOpenObserve
from hf_openobserve.cli.path import bootstrap_directory
from scripted import Reply, ScriptedEndpoint, event

COMMAND = [sys.executable, "-c", "import sys; from hf_openobserve.cli import main; sys.exit(main())"]
ANSWER = (
    "Of course. The parcel was handed to a neighbour who has since moved away, so the carrier has to collect it there "
    "and try again. We have asked them to, and you will get a message with the new day. We are sorry for the trouble."
).split()


class Served(NamedTuple):
    """How one model is served: by whom, under which name, how fast, and for how many USD a million tokens."""

    provider: str
    name: str
    first_token_s: float
    tokens_per_second: float
    price_in: float
    price_out: float


MODELS = {
    "meta-llama/Llama-3.3-70B-Instruct": Served("groq", "llama-3.3-70b-versatile", 0.16, 220, 0.59, 0.79),
    "Qwen/Qwen3-32B": Served("cerebras", "qwen-3-32b", 0.09, 480, 0.4, 0.8),
    "openai/gpt-oss-120b": Served("fireworks-ai", "gpt-oss-120b", 0.32, 130, 0.15, 0.6),
    "deepseek-ai/DeepSeek-V3.2": Served("novita", "deepseek/deepseek-v3.2", 0.7, 48, 0.27, 0.4),
}
"""Round figures for a picture; no statement about these providers."""


class Router:
    """Answers as Hugging Face's router does: streams at a pace, and now and then an error."""

    def __init__(self) -> None:
        self._dice = random.Random(11)
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    def __call__(self, _: str, body: Dict[str, Any]) -> Reply:
        with self._lock:
            number, chance, spread = next(self._numbers), self._dice.random(), self._dice.lognormvariate(0, 0.35)
        served = MODELS.get(body["model"].partition(":")[0])
        if served is None:
            message = f"The requested model '{body['model']}' is not supported by any provider you have enabled."
            return Reply(400, {"error": {"message": message, "code": "model_not_supported"}})
        headers = {"x-inference-provider": served.provider, "x-request-id": f"Root=1-{number:08x}"}
        if served.provider == "groq" and chance < 0.2:
            message = f"Rate limit reached for model `{served.name}`: 6000 tokens per minute."
            return Reply(429, {"error": {"message": message}}, {**headers, "retry-after": "1"})
        if served.provider == "novita" and chance < 0.1:
            return Reply(504, {"error": {"message": "Gateway Timeout"}}, {**headers, "x-should-retry": "false"})
        if served.provider == "fireworks-ai" and chance < 0.06:
            message = "You have depleted your monthly included credits. Purchase pre-paid credits to continue."
            return Reply(402, {"error": message}, headers)
        pieces: List[Union[bytes, float]] = [served.first_token_s * spread]
        words = ANSWER[: 12 + int(chance * (len(ANSWER) - 12))]
        for piece in _pieces(served, words):
            pieces += [event(piece), 4 / served.tokens_per_second * spread]
        usage = {"prompt_tokens": 46, "completion_tokens": 4 * len(words), "total_tokens": 46 + 4 * len(words)}
        usage["prompt_tokens_details"] = {"cached_tokens": 32 if chance > 0.5 else 0}  # type: ignore[assignment]
        last = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": served.name}
        pieces += [event({**last, "choices": [], "usage": usage}), event("[DONE]")]
        return Reply(raw=pieces, headers={**headers, "Content-Type": "text/event-stream"})


def _pieces(served: Served, words: List[str]) -> Iterator[Dict[str, Any]]:
    for index, word in enumerate(words):
        delta = {"role": "assistant", "content": word + " "}
        choice = {"index": 0, "delta": delta, "finish_reason": "stop" if index == len(words) - 1 else None}
        chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": served.name}
        yield {**chunk, "choices": [choice]}


def set_prices(openobserve: FakeOpenObserve) -> None:
    """The organization's price list, by the API that its page uses."""
    for served in MODELS.values():
        price = {
            "name": served.name,
            "match_pattern": f"^{served.name}$",
            "tiers": [{"name": "all", "prices": {"input": served.price_in / 1e6, "output": served.price_out / 1e6}}],
        }
        request = urllib.request.Request(
            f"{openobserve.url}/api/default/llm/models",
            json.dumps(price).encode(),
            {"Authorization": openobserve.auth_token, "Content-Type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=10).close()


def picture_of_terminal(text: str, title: str, path: Path, width: int) -> None:
    """What a command wrote on a terminal of that width, as rich draws it."""
    from rich.console import Console
    from rich.text import Text

    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(text), soft_wrap=False)
    path.write_text(console.export_svg(title=title), encoding="utf-8")


def main() -> None:
    with tempfile.TemporaryDirectory() as directory, FakeOpenObserve("0.92.0") as openobserve, ScriptedEndpoint(
        Router()
    ) as router:
        set_prices(openobserve)
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("OPENOBSERVE_", "OTEL_"))},
            **openobserve.environment,
            "HOME": directory,
            "OPENOBSERVE_HF_DOTENV": "false",
            "NO_PROXY": "127.0.0.1",
        }
        tail = subprocess.Popen(
            [*COMMAND, "tail"], env={**environment, "COLUMNS": "132", "FORCE_COLOR": "1"}, stdout=subprocess.PIPE
        )
        time.sleep(1)
        program = {
            **environment,
            "PYTHONPATH": bootstrap_directory(),
            "HF_BASE_URL": router.url,
            "HF_TOKEN": "hf_ThisIsThePicturesTokenAndOpensNothing",
            "OTEL_SERVICE_NAME": "support-desk",
        }
        subprocess.run([sys.executable, str(HERE / "assistant.py")], env=program, check=True, timeout=300)
        time.sleep(2)
        tail.send_signal(signal.SIGINT)
        lines = tail.communicate(timeout=10)[0].decode().splitlines()
        picture_of_terminal("\n".join(lines[60:84]), "hf-openobserve tail", HERE / "tail.svg", 132)
        page = Path(directory) / "report.html"
        arguments = ["report", "--html", str(page), "--from", "openobserve", "--since", "1h"]
        subprocess.run([*COMMAND, *arguments], env=environment, check=True, timeout=60)
        pictures_of_page(page)


def pictures_of_page(page: Path) -> None:
    """The report as a browser shows it: in light colours, and in dark ones on a phone."""
    with chromium() as browser:
        for name, scheme, width, height in (("report", "light", 1280, 1000), ("report-phone", "dark", 390, 844)):
            view = browser.new_page(
                viewport={"width": width, "height": height}, color_scheme=scheme, timezone_id="UTC", locale="en-GB"
            )
            view.goto(page.as_uri())
            view.wait_for_selector("html[data-ready]")
            view.screenshot(path=str(HERE / f"{name}.png"))
            view.close()


if __name__ == "__main__":
    main()
