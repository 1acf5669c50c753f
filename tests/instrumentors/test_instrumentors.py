"""Other instrumentors under the wrapper: the same words on stderr and instrumented classes as by the stock distro.

The suite runs those whose packages it has anyway; ``nox -s instrumentors`` runs all of them, in an environment of its
own.
"""

from __future__ import annotations

import os

import pytest

import harness

LIBRARIES = {
    "aiohttp-client": "aiohttp",
    "asyncio": "asyncio",
    "celery": "celery",
    "django": "django",
    "fastapi": "fastapi",
    "flask": "flask",
    "httpx": "httpx",
    "httpx2": "httpx2",
    "logging": "logging",
    "psycopg": "psycopg",
    "redis": "redis",
    "requests": "requests",
    "sqlalchemy": "sqlalchemy",
    "starlette": "starlette",
    "threading": "threading",
    "urllib3": "urllib3",
}
"""The instrumentor, or what else its library is called (openai brings httpx2), and the library that is looked at."""
OF_THE_SUITE = ("flask", "requests")
TRIED = LIBRARIES if os.environ.get("HF_OPENOBSERVE_INSTRUMENTORS") else OF_THE_SUITE

PROGRAM = """
import sys
for name in {order}:
    __import__(name)
import openai
openai.OpenAI(api_key="x", base_url="http://127.0.0.1:1")

library, found = {library!r}, set()
def look(path, value):
    kind = type(value).__module__.partition(".")[0]
    marks = kind, "" if kind == "werkzeug" else [getattr(value, name, "") for name in ("__module__", "__code__")]
    if "ObjectProxy" in [base.__name__ for base in type(value).__mro__] or "opentelemetry" in str(marks):
        found.add(path)
for name, module in list(sys.modules.items()):
    if name == library or name.startswith(library + "."):
        for key, value in list(vars(module).items()):
            look(name + "." + key, value)
            if isinstance(value, type):
                for attribute, inner in list(vars(value).items()):
                    look(name + "." + key + "." + attribute, inner)
if library == "celery":
    import celery.signals
    signals = {{key: value for key, value in vars(celery.signals).items() if hasattr(value, "receivers")}}
    found.update("signal " + key for key, value in signals.items() if "opentelemetry" in repr(value.receivers))
if library == "django":
    from django.conf import settings
    found.update(settings.MIDDLEWARE)
if library == "logging":
    found.add(library.__class__.__name__ + str(sys.modules["logging"].getLogRecordFactory()).partition(" at ")[0])
print("\\n".join(sorted(found)))
"""

STOCK = {"OTEL_PYTHON_DISTRO": "distro", "OTEL_PYTHON_CONFIGURATOR": "configurator"}
NOTHING_SENT = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("instrumentor", TRIED)
def test_the_same_is_instrumented_and_said_as_by_the_stock_distro(instrumentor, order, tmp_path, openobserve):
    library = LIBRARIES[instrumentor]
    names = [library, "openai"] if order == "before" else ["openai", library]
    program = PROGRAM.format(order=names, library=library)
    (tmp_path / "shop_settings.py").write_text("MIDDLEWARE = []\nSECRET_KEY = 'x'\n")
    own = {"DJANGO_SETTINGS_MODULE": "shop_settings", "PYTHONPATH": str(tmp_path)} if library == "django" else {}
    env = harness.environment(tmp_path, openobserve.environment, own)
    stock = harness.run(program, door="wrapper", env={**env, **STOCK, **NOTHING_SENT}, cwd=tmp_path)
    ours = harness.run(program, door="wrapper", env=env, cwd=tmp_path)
    assert stock.returncode == ours.returncode == 0, (stock.stderr, ours.stderr)
    assert ours.stdout == stock.stdout
    assert ours.stderr.splitlines() == list(of_the_instrumentors(stock.stderr))
    assert len(stock.stdout.split()) > 0, "the instrumentor does something"


def of_the_instrumentors(stderr):
    """What the stock distro says of instrumentors, without what its own loggers and selection say."""
    for line in stderr.splitlines():
        if line.startswith("Exception ignored in atexit callback"):  # its handler of logs, at the end
            return
        if not line.startswith("Configuration of hf_openobserve not loaded"):
            yield line
