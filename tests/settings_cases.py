"""Environments and ``.env`` files for the tests of ``settings`` and ``destination``."""

import base64

from hf_openobserve.config.destination import Destination
from hf_openobserve.config.settings import load


def basic(credentials):
    return base64.b64encode(credentials.encode()).decode()


PASSWORD = "not-a-real-password"
CREDENTIALS = f"nobody@example.com:{PASSWORD}"
TOKEN = "Basic " + basic(CREDENTIALS)
SERVER = {"OPENOBSERVE_URL": "https://o2.example", "OPENOBSERVE_AUTH_TOKEN": TOKEN}
LOCAL = Destination("local")


def read(environ, script_dir=None, cwd=None):
    return load(environ, script_dir=script_dir, cwd=cwd)


def with_file(directory, text, environ):
    (directory / ".env").write_text(text)
    return read(environ, script_dir=str(directory))


GENERAL = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
COLLECTOR = {GENERAL: "http://c.example:4318"}

FILE_URL = "https://file.example"
FILE_TOKEN = "Basic " + basic("file@example.com:password-of-the-file")
FILE_PAIR = f"OPENOBSERVE_URL={FILE_URL}\nOPENOBSERVE_AUTH_TOKEN={FILE_TOKEN}\n"
ENV_TOKEN = {"OPENOBSERVE_AUTH_TOKEN": TOKEN}
ENV_URL = {"OPENOBSERVE_URL": "https://o2.example"}
