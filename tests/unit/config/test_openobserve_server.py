"""The OpenObserve server, as tables: variables and a ``.env`` in; endpoint, headers and lines out."""

import base64

import pytest

from hf_openobserve.config.destination import Destination
from settings_cases import (
    COLLECTOR,
    CREDENTIALS,
    ENV_TOKEN,
    ENV_URL,
    FILE_PAIR,
    FILE_TOKEN,
    FILE_URL,
    GENERAL,
    SERVER,
    TOKEN,
    TRACES,
    basic,
    read,
    with_file,
)

NOT_RECORDED = " - nothing is recorded until it is corrected."


def test_an_openobserve_destination():
    it = read(
        {**SERVER, "OPENOBSERVE_ORG": "acme", "OPENOBSERVE_TRACES_STREAM_NAME": "llm", "OPENOBSERVE_TIMEOUT": "7.5"}
    )
    assert it.enabled
    assert it.problems == ()
    assert it.destination == Destination(
        "openobserve",
        endpoint="https://o2.example/api/acme/v1/traces",
        base_url="https://o2.example",
        headers={"Authorization": TOKEN, "stream-name": "llm"},
        timeout_s=7.5,
        gzip=True,
        identity="openobserve https://o2.example/api/acme/v1/traces stream=llm",
        organization="acme",
        stream="llm",
    )
    assert it.sources["OPENOBSERVE_ORG"] == "environment"
    assert it.sources["OPENOBSERVE_HF_DEBUG"] == "default"


@pytest.mark.parametrize(
    ("url", "base_url"),
    [
        ("https://o2.example", "https://o2.example"),
        ("https://o2.example/", "https://o2.example"),
        ("https://o2.example//", "https://o2.example"),
        ("http://localhost:5080", "http://localhost:5080"),
        ("http://127.0.0.1:5080/", "http://127.0.0.1:5080"),
        ("http://[::1]:5080/", "http://[::1]:5080"),
        ("https://o2.example/o2", "https://o2.example/o2"),
        ("https://o2.example/obs/o2/", "https://o2.example/obs/o2"),
        ("https://o2.example/api-gateway/", "https://o2.example/api-gateway"),
        ("https://o2.example/api/v9/o2", "https://o2.example/api/v9/o2"),
        ("HTTPS://O2.Example:443/Path", "https://o2.example/Path"),
        ("http://o2.example:80", "http://o2.example"),
        ("http://o2.example:443", "http://o2.example:443"),
        ("  https://o2.example  ", "https://o2.example"),
        ('"https://o2.example"', "https://o2.example"),
        ("'https://o2.example/'", "https://o2.example"),
    ],
)
def test_right_urls(url, base_url):
    it = read({**SERVER, "OPENOBSERVE_URL": url})
    assert (it.enabled, it.problems) == (True, ())
    assert it.destination.base_url == base_url
    assert it.destination.endpoint == base_url + "/api/default/v1/traces"


NO_SCHEME = "has no scheme"
WRONG_SCHEME = "has a scheme that is neither http nor https"
NO_HOST = "names no host"
NO_PORT = "has no valid host and port"
CHARACTERS = "has characters that a URL has not"
QUERY = "has a query or a fragment, which a base URL has not"
CARRIES = "carries credentials, which belong in OPENOBSERVE_AUTH_TOKEN"


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("localhost:5080", NO_SCHEME + ' ("localhost:5080")'),
        ("o2.example/prefix", NO_SCHEME + ' ("o2.example/prefix")'),
        ("//o2.example", NO_SCHEME),
        ("https:/o2.example", NO_SCHEME),
        ("hf_fakefakefakefake", NO_SCHEME),
        ("default", NO_SCHEME),
        ("ftp://o2.example", WRONG_SCHEME),
        ("grpc://o2.example:5081", WRONG_SCHEME),
        ("https://", NO_HOST),
        ("https:///api", NO_HOST),
        ("http://:5080", NO_HOST),
        ("http://o2.example:port", NO_PORT),
        ("http://o2.example:99999", NO_PORT),
        ("http://o2.example:0", "has no valid port"),
        ("http://[::1", NO_PORT),
        ("http://o2 example", CHARACTERS),
        ("http://o2.example\nX-Other: 1", CHARACTERS),
        ("http://o2.example\x00", CHARACTERS),
        ("http://o2.example/\udcff", CHARACTERS),
        ("https://o2.example?org=acme", QUERY),
        ("https://o2.example/#/logs", QUERY),
        ('"https://o2.example', "begins with a quote that is not closed"),
        ("https://nobody:secret@o2.example", CARRIES),
        ("nobody:secret@localhost:5080", CARRIES),
    ],
)
def test_wrong_urls(url, what):
    it = read({**SERVER, "OPENOBSERVE_URL": url})
    assert it.problems == (f"OPENOBSERVE_URL {what}; write for example https://api.openobserve.ai{NOT_RECORDED}",)
    assert (it.enabled, it.destination.kind) == (False, "local")


@pytest.mark.parametrize(
    ("base_url", "pasted", "org"),
    [
        ("https://o2.example", "/api/acme/v1/traces", "acme"),
        ("https://o2.example:5080/o2", "/api/acme", "acme"),
        ("https://o2.example", "/api/acme/otel/v1/traces", "acme"),
        ("https://o2.example", "/api/acme/traces", "acme"),
        ("https://o2.example", "/api", ""),
        ("https://o2.example", "/v1/traces", ""),
    ],
)
@pytest.mark.parametrize("slash", ["", "/"])
def test_a_url_with_what_the_agent_adds(base_url, pasted, org, slash):
    it = read({**SERVER, "OPENOBSERVE_URL": base_url + pasted + slash})
    example = f"OPENOBSERVE_URL={base_url}" + (f" and OPENOBSERVE_ORG={org}" if org else "")
    assert it.problems == (
        f'OPENOBSERVE_URL ends in "{pasted}", which the agent adds itself; write for example {example}{NOT_RECORDED}',
    )
    assert not it.enabled


@pytest.mark.parametrize(
    ("token", "authorization"),
    [
        (TOKEN, TOKEN),
        (f"  {TOKEN}\n", TOKEN),
        (f'"{TOKEN}"', TOKEN),
        (f"'{TOKEN}'", TOKEN),
        (TOKEN.replace("Basic", "basic"), TOKEN),
        (TOKEN.replace("Basic", "BASIC"), TOKEN),
        (TOKEN.replace(" ", "   "), TOKEN),
        (TOKEN.replace(" ", "\t"), TOKEN),
        (f"Authorization: {TOKEN}", TOKEN),
        (f"authorization={TOKEN}", TOKEN),
        (TOKEN.split()[1], TOKEN),
        (CREDENTIALS, TOKEN),
        ("nobody:p\u00e4ss w\u00f6rd:with:colons", "Basic " + basic("nobody:p\u00e4ss w\u00f6rd:with:colons")),
        ("nobody:p\udcfcss", "Basic " + base64.b64encode(b"nobody:p\xfcss").decode()),
        ("Basic " + basic("ab:c"), "Basic YWI6Yw=="),
        ("Basic YWI6Yw", "Basic YWI6Yw=="),
        ("YWI6Yw", "Basic YWI6Yw=="),
        (
            "Basic " + base64.b64encode(b"nobody:p\xfcss").decode(),
            "Basic " + base64.b64encode(b"nobody:p\xfcss").decode(),
        ),
        ("Bearer fake.fake.fake", "Bearer fake.fake.fake"),
        ("bearer fake", "bearer fake"),
        ("Bearer\nfake", "Bearer fake"),
    ],
)
def test_right_tokens(token, authorization):
    it = read({"OPENOBSERVE_AUTH_TOKEN": token})
    assert (it.enabled, it.problems) == (True, ())
    assert it.destination.headers["Authorization"] == authorization


FORMS = 'is neither "Basic <base64 of user:password>" nor "user:password" nor "Bearer <token>"'
BAD_BASIC = 'has no base64 of user:password behind "Basic"'


@pytest.mark.parametrize(
    ("token", "what"),
    [
        ("o2oi_fakefakefakefake", FORMS),
        ("hf_fakefakefakefake", FORMS),
        (basic("no colon in here"), FORMS),
        (base64.b64encode(bytes(range(0x3A, 0x3A + 30)) + b"\xff\xfe").decode(), FORMS),
        ("Token nobody:secret", FORMS),
        (":", FORMS),
        (":secretsecret", FORMS),
        ("nobody:", FORMS),
        ("http://localhost:5080", FORMS),
        ("Bearer", FORMS),
        ("Bearer two words", FORMS),
        ("Bearer f\u00e4ke", FORMS),
        ("Bearer fake\r\nX-Other: 1", FORMS),
        ("Basic", BAD_BASIC),
        ("Basic not*base64", BAD_BASIC),
        (f"Basic {CREDENTIALS}", BAD_BASIC),
        ("Basic " + basic("no colon in here"), BAD_BASIC),
        (f"Basic {TOKEN}", BAD_BASIC),
        (f'"{TOKEN}', "begins with a quote that is not closed"),
    ],
)
def test_wrong_tokens(token, what):
    it = read({"OPENOBSERVE_URL": "https://o2.example", "OPENOBSERVE_AUTH_TOKEN": token})
    example = '"Basic <base64 of user:password>"'
    assert it.problems == (f"OPENOBSERVE_AUTH_TOKEN {what}; write for example {example}{NOT_RECORDED}",)
    assert (it.enabled, it.destination.kind) == (False, "local")


def test_a_token_without_a_url_means_this_machine():
    it = read({"OPENOBSERVE_AUTH_TOKEN": TOKEN})
    assert it.destination.endpoint == "http://localhost:5080/api/default/v1/traces"
    assert it.sources["OPENOBSERVE_URL"] == "default"


def test_a_url_without_a_token_records_nothing():
    it = read({"OPENOBSERVE_URL": "https://o2.example"})
    assert not it.enabled
    assert len(it.problems) == 1
    assert it.problems[0].startswith("OPENOBSERVE_AUTH_TOKEN is not set beside OPENOBSERVE_URL; write for example ")


NO_ORG = "has characters that an organization's identifier has not"


@pytest.mark.parametrize(
    ("org", "what"),
    [
        ("acme/prod", "contains a slash"),
        ("/", "contains a slash"),
        ("acme prod", "contains a space"),
        ("acme\tprod", "contains a space"),
        ("..", NO_ORG),
        ("acme?x", NO_ORG),
        ("acme#x", NO_ORG),
        ("acme%2fprod", NO_ORG),
        ("acme\\prod", NO_ORG),
        ("\u00e4cme", NO_ORG),
        (TOKEN, "is the text of OPENOBSERVE_AUTH_TOKEN"),
        (TOKEN.split()[1], "is the text of OPENOBSERVE_AUTH_TOKEN"),
    ],
)
def test_wrong_organizations_are_not_shown(org, what):
    it = read({**SERVER, "OPENOBSERVE_ORG": org})
    assert it.problems == (f"OPENOBSERVE_ORG {what}; write for example default{NOT_RECORDED}",)
    assert (it.enabled, it.destination.kind) == (False, "local")


def test_each_wrong_variable_has_its_own_line():
    it = read(
        {"OPENOBSERVE_URL": "o2", "OPENOBSERVE_AUTH_TOKEN": "x", "OPENOBSERVE_ORG": "a/b", "OPENOBSERVE_TIMEOUT": "-"}
    )
    assert [line.split()[0] for line in it.problems] == [
        "OPENOBSERVE_TIMEOUT",
        "OPENOBSERVE_URL",
        "OPENOBSERVE_AUTH_TOKEN",
        "OPENOBSERVE_ORG",
    ]


@pytest.mark.parametrize(
    ("stream", "sent"), [("llm", "llm"), ("My Stream", "My Stream"), ("caf\u00e9\nX: 1", "caf_X: 1"), ("", "default")]
)
def test_the_stream_is_always_a_header_value(stream, sent):
    assert read({**SERVER, "OPENOBSERVE_TRACES_STREAM_NAME": stream}).destination.headers["stream-name"] == sent


# --- An address in the .env ---


@pytest.mark.parametrize(
    ("text", "environ", "endpoint", "token"),
    [
        pytest.param(FILE_PAIR, {}, f"{FILE_URL}/api/default/v1/traces", FILE_TOKEN, id="both-from-the-file"),
        pytest.param(
            FILE_PAIR, SERVER, "https://o2.example/api/default/v1/traces", TOKEN, id="both-from-the-environment"
        ),
        pytest.param(
            FILE_PAIR, ENV_TOKEN, "http://localhost:5080/api/default/v1/traces", TOKEN, id="token-goes-to-no-file's-url"
        ),
        pytest.param(
            f"OPENOBSERVE_URL={FILE_URL}",
            ENV_TOKEN,
            "http://localhost:5080/api/default/v1/traces",
            TOKEN,
            id="token-goes-to-no-file's-lone-url",
        ),
        pytest.param(FILE_PAIR, ENV_URL, "", "", id="file's-token-goes-to-no-environment's-url"),
        pytest.param(
            FILE_PAIR, {"OPENOBSERVE_URL": ""}, f"{FILE_URL}/api/default/v1/traces", FILE_TOKEN, id="empty-is-unset"
        ),
        pytest.param(
            f"OPENOBSERVE_AUTH_TOKEN={FILE_TOKEN}",
            {},
            "http://localhost:5080/api/default/v1/traces",
            FILE_TOKEN,
            id="file's-token",
        ),
        pytest.param(
            FILE_PAIR + "OPENOBSERVE_ORG=filed",
            {},
            f"{FILE_URL}/api/filed/v1/traces",
            FILE_TOKEN,
            id="file's-organization",
        ),
        pytest.param(
            FILE_PAIR + "OPENOBSERVE_ORG=filed",
            {"OPENOBSERVE_ORG": "acme"},
            f"{FILE_URL}/api/acme/v1/traces",
            FILE_TOKEN,
            id="environment's-organization-first",
        ),
        pytest.param(
            FILE_PAIR + "OPENOBSERVE_ORG=filed",
            SERVER,
            "https://o2.example/api/default/v1/traces",
            TOKEN,
            id="organization-of-another-server",
        ),
        pytest.param(
            "OPENOBSERVE_ORG=filed",
            SERVER,
            "https://o2.example/api/filed/v1/traces",
            TOKEN,
            id="organization-completes",
        ),
        pytest.param(FILE_PAIR, COLLECTOR, "http://c.example:4318/v1/traces", "", id="not-before-the-collector"),
        pytest.param(
            FILE_PAIR, {TRACES: "http://c.example/t"}, "http://c.example/t", "", id="nor-before-the-traces'-own"
        ),
        pytest.param(FILE_PAIR, {GENERAL: "c.example"}, "", "", id="nor-before-one-that-cannot-be-used"),
        pytest.param(
            f"OPENOBSERVE_URL={FILE_URL}", COLLECTOR, "http://c.example:4318/v1/traces", "", id="nor-half-an-address"
        ),
        pytest.param(
            f"OPENOBSERVE_AUTH_TOKEN={FILE_TOKEN}",
            COLLECTOR,
            "http://c.example:4318/v1/traces",
            "",
            id="nor-the-other-half",
        ),
        pytest.param(
            FILE_PAIR, {GENERAL: " '' "}, f"{FILE_URL}/api/default/v1/traces", FILE_TOKEN, id="an-empty-one-is-none"
        ),
        pytest.param(
            f"OTEL_EXPORTER_OTLP_ENDPOINT={FILE_URL}",
            COLLECTOR,
            "http://c.example:4318/v1/traces",
            "",
            id="a-collector-of-the-file",
        ),
        pytest.param(
            FILE_PAIR,
            {**COLLECTOR, **ENV_TOKEN},
            "http://localhost:5080/api/default/v1/traces",
            TOKEN,
            id="environment's-token-beside-its-collector",
        ),
    ],
)
def test_url_and_token_come_from_one_source(tmp_path, text, environ, endpoint, token):
    it = with_file(tmp_path, text, environ)
    assert it.destination.endpoint == endpoint
    assert it.destination.headers.get("Authorization", "") == token
    pair = {it.sources[name] for name in SERVER} - {"default"}
    assert len(pair) == (it.destination.kind == "openobserve" or "OPENOBSERVE_URL" in environ)


def test_the_stream_follows_the_address(tmp_path):
    stream = "OPENOBSERVE_TRACES_STREAM_NAME=filed\n"
    assert with_file(tmp_path, FILE_PAIR + stream, {}).destination.headers["stream-name"] == "filed"
    assert with_file(tmp_path, FILE_PAIR + stream, SERVER).destination.headers["stream-name"] == "default"
    assert with_file(tmp_path, stream, SERVER).destination.headers["stream-name"] == "filed"


def test_half_an_address_in_the_file_is_explained(tmp_path):
    path = tmp_path / ".env"
    it = with_file(tmp_path, f"OPENOBSERVE_URL={FILE_URL}", ENV_TOKEN)
    assert it.problems == (
        (
            f"OPENOBSERVE_URL in {path} is not used: OPENOBSERVE_AUTH_TOKEN comes from the environment, and both must "
            "come from the same place; set OPENOBSERVE_URL in the environment too - "
            "using the default http://localhost:5080."
        ),
    )
    it = with_file(tmp_path, f"OPENOBSERVE_AUTH_TOKEN={FILE_TOKEN}", ENV_URL)
    assert not it.enabled
    assert len(it.problems) == 1
    assert f"(the one in {path} is not sent to a server that the environment names)" in it.problems[0]


def test_a_whole_address_in_the_file_beside_the_environment_s_is_worth_a_note_only(tmp_path):
    it = with_file(tmp_path, FILE_PAIR, SERVER)
    assert it.problems == ()
    assert it.notes == (
        (
            f"OPENOBSERVE_URL and OPENOBSERVE_AUTH_TOKEN in {tmp_path / '.env'} not used: "
            "the environment names the server."
        ),
    )


@pytest.mark.parametrize("named", ["", "{}/.env"])
@pytest.mark.parametrize("text", [FILE_PAIR, f"OPENOBSERVE_URL={FILE_URL}", f"OPENOBSERVE_AUTH_TOKEN={FILE_TOKEN}"])
def test_beside_a_collector_of_the_environment_so_is_any(tmp_path, text, named):
    it = with_file(tmp_path, text, {**COLLECTOR, "OPENOBSERVE_HF_DOTENV": named.format(tmp_path)})
    assert (it.enabled, it.problems) == (True, ())
    assert it.notes[0].endswith(f" in {tmp_path / '.env'} not used: the environment names the server.")


def test_a_line_names_the_file_a_wrong_value_stands_in(tmp_path):
    it = with_file(tmp_path, FILE_PAIR.replace("https://", ""), {})
    assert it.problems[0].startswith(f'OPENOBSERVE_URL in {tmp_path / ".env"} has no scheme ("file.example"); ')
    assert not it.enabled


@pytest.mark.parametrize(
    "text",
    [
        f'OPENOBSERVE_URL="{FILE_URL}\nOPENOBSERVE_AUTH_TOKEN={FILE_TOKEN}',
        f"OPENOBSERVE_URL=https://${{HOST}}\nOPENOBSERVE_AUTH_TOKEN={FILE_TOKEN}",
        f"OPENOBSERVE_URL={FILE_URL}\nOPENOBSERVE_AUTH_TOKEN=nobody:${{HF_TOKEN}}",
        f"{FILE_PAIR}OPENOBSERVE_ORG=${{HF_TOKEN}}",
    ],
)
def test_a_line_that_cannot_be_read_stops_recording_and_is_no_default(tmp_path, text):
    it = with_file(tmp_path, text, {"HF_TOKEN": "hf_fakefakefake"})
    assert (it.enabled, it.destination.kind) == (False, "local")
    assert len(it.problems) == 1


def test_a_dollar_in_the_environment_is_part_of_the_password():
    assert read({"OPENOBSERVE_AUTH_TOKEN": "nobody:pa${ss}word"}).enabled
