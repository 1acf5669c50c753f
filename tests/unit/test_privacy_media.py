"""Base64 and vectors become type, size and digest, and JSON stays JSON."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from typing import Any, Dict, Optional, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_openobserve import privacy
from hf_openobserve.row.record import EventRecord, LinkRecord
from privacy_records import FULL, after, everything_in, span


def sha16(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


IMAGE = bytes(range(256)) * 8
IMAGE_64 = base64.b64encode(IMAGE).decode()
IMAGE_DIGEST = f"<{len(IMAGE)} bytes, sha256:{sha16(IMAGE)}>"
BARE_DIGEST = f"<base64: {len(IMAGE)} bytes, sha256:{sha16(IMAGE)}>"
SMALL = bytes(range(64))
SMALL_64 = base64.b64encode(SMALL).decode()


TINY = b"GIF89a\x01\x00\x01\x00\x00\x00\x00,"


def compacted(text: str, policy: privacy.Policy = FULL) -> str:
    result = after({"output.value": text}, policy)["output.value"]
    assert after({"output.value": result}, policy)["output.value"] == result
    return str(result)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"data:image/png;base64,{IMAGE_64}", f"data:image/png;base64,{IMAGE_DIGEST}"),
        (f"data:audio/wav;rate=8000;base64,{IMAGE_64} x", f"data:audio/wav;rate=8000;base64,{IMAGE_DIGEST} x"),
        (f"data:image/png;base64,{SMALL_64}", f"data:image/png;base64,<64 bytes, sha256:{sha16(SMALL)}>"),
        ("data:image/gif;base64,R0lGODlhAQABAAAAACw=", f"data:image/gif;base64,<14 bytes, sha256:{sha16(TINY)}>"),
        ("DATA:IMAGE/GIF;BASE64,R0lGODlhAQABAAAAACw=", f"DATA:IMAGE/GIF;BASE64,<14 bytes, sha256:{sha16(TINY)}>"),
        ("data:image/gif;base64,R0lGODlhAQABAAAAACw%3D", f"data:image/gif;base64,<14 bytes, sha256:{sha16(TINY)}>"),
        ("data:a/b;base64,QUJD", f"data:a/b;base64,<3 bytes, sha256:{sha16(b'ABC')}>"),
        ("data:a/b;base64,", "data:a/b;base64,"),
        ("write data:image/png;base64,<data> there", "write data:image/png;base64,<data> there"),
        (
            "data:image/png;base64," + base64.encodebytes(IMAGE).decode().replace("\n", "\\n")[:-2] + '"',
            f'data:image/png;base64,{IMAGE_DIGEST}"',
        ),
        (
            f"![a](data:image/png;base64,{IMAGE_64}) ![b](data:image/png;base64,{SMALL_64})",
            f"![a](data:image/png;base64,{IMAGE_DIGEST}) ![b](data:image/png;base64,<64 bytes, sha256:{sha16(SMALL)}>)",
        ),
        (f'{{"data": "{IMAGE_64}"}}', f'{{"data": "{BARE_DIGEST}"}}'),
        (f"x {IMAGE_64.rstrip('=')} y {IMAGE_64} z", f"x {BARE_DIGEST} y {BARE_DIGEST} z"),
        (f"{' ' * 700}{IMAGE_64}", f"{' ' * 700}{BARE_DIGEST}"),
        (base64.urlsafe_b64encode(IMAGE).decode(), BARE_DIGEST),
        (f'{{"other": "{SMALL_64}"}}', f'{{"other": "{SMALL_64}"}}'),
        (IMAGE_64[:500], IMAGE_64[:500]),
        ("-" * 2000, "-" * 2000),
        ("ACGT" * 500, "ACGT" * 500),
        ("z" * 2000, "z" * 2000),
        ("word " * 1000, "word " * 1000),
    ],
)
def test_base64(text: str, left: str) -> None:
    assert compacted(text) == left


def shrunk(data: bytes) -> str:
    return f"<base64: {len(data)} bytes, sha256:{sha16(data)}>"


PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
JPEG = b"\xff\xd8\xff\xe0" + bytes(20)
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(8)
PDF = b"%PDF-1.7\n" + bytes(16)


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
@pytest.mark.parametrize(
    ("body", "left"),
    [
        (
            {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
            {"type": "input_audio", "input_audio": {"data": shrunk(b"RIFF"), "format": "wav"}},
        ),
        ({"data": [{"b64_json": "QUJDRA=="}]}, {"data": [{"b64_json": shrunk(b"ABCD")}]}),
        (
            {"source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}},
            {"source": {"type": "base64", "media_type": "image/png", "data": shrunk(b"ABC")}},
        ),
        ({"image": base64.b64encode(PNG).decode()}, {"image": shrunk(PNG)}),
        ({"inputs": base64.b64encode(JPEG).decode()}, {"inputs": shrunk(JPEG)}),
        ([base64.b64encode(WAV).decode()], [shrunk(WAV)]),
        ({"file_data": base64.b64encode(PDF).decode()}, {"file_data": shrunk(PDF)}),
        (
            {"file": {"file_data": "data:application/pdf;base64," + base64.b64encode(PDF).decode()}},
            {"file": {"file_data": f"data:application/pdf;base64,<{len(PDF)} bytes, sha256:{sha16(PDF)}>"}},
        ),
        ({"data": "hello", "format": "text"}, {"data": "hello", "format": "text"}),
        ({"data": "aGVsbG8gd29ybGQ="}, {"data": "aGVsbG8gd29ybGQ="}),
    ],
)
def test_media_of_any_length_is_reduced(body: Any, left: Any, depth: int) -> None:
    for _ in range(depth):
        body, left = {"arguments": json.dumps(body)}, {"arguments": json.dumps(left)}
    assert compacted(json.dumps(body)) == json.dumps(left)


def test_escaped_slashes_are_part_of_base64() -> None:
    text = json.dumps({"url": "data:image/jpeg;base64," + base64.b64encode(JPEG).decode()})
    left = {"url": f"data:image/jpeg;base64,<{len(JPEG)} bytes, sha256:{sha16(JPEG)}>"}
    assert json.loads(compacted(text.replace("/", "\\/"))) == left


def test_media_in_every_place_of_a_record() -> None:
    url = "data:image/png;base64," + base64.b64encode(PNG).decode()
    record = span(
        {"text": url, "list": [url], "map": {"a": {"b": url}}, "raw": base64.b64encode(PNG).decode()},
        events=[EventRecord("exception", 1, {"exception.message": url, "exception.stacktrace": url})],
        links=[LinkRecord(1, 2, {"a": url})],
        status_message=f"BadRequestError: {url}",
    )
    assert base64.b64encode(PNG).decode()[:24] not in everything_in(privacy.apply(record, FULL))


@given(
    before=st.text(alphabet=" ,.é\n", max_size=1200),
    data=st.binary(min_size=768, max_size=3000),
    following=st.text(alphabet=" ,.é\n", max_size=600),
)
@settings(max_examples=100, deadline=None)
def test_a_bare_run_is_found_wherever_it_starts(before: str, data: bytes, following: str) -> None:
    data = bytes(range(48)) + data  # of more than one class of characters
    left = compacted(before + base64.b64encode(data).decode() + following)
    assert left == f"{before}<base64: {len(data)} bytes, sha256:{sha16(data)}>{following}"


VECTOR = [round(0.001 * i - 0.5, 6) for i in range(1024)]


def text_digest(vector: Sequence[float]) -> str:
    return "sha256:" + sha16(json.dumps(vector, separators=(",", ":")).encode())


def vector_digest(*vectors: Sequence[float]) -> str:
    return "sha256:" + sha16(b"".join(struct.pack(f"<{len(vector)}d", *vector) for vector in vectors))


VECTOR_MARKER = f"<vector: 1024 dimensions, {text_digest(VECTOR)}>"


@pytest.mark.parametrize("indent", [None, 2])
def test_vectors_in_json_become_strings_of_valid_json(indent: Optional[int]) -> None:
    body = {
        "data": [{"embedding": VECTOR, "index": 0}, {"embedding": [0.25] * 15, "index": 1}],
        "note": 'a "quoted" \\ list [' + ", ".join(["1.5"] * 20) + "] stays",
        "nested": [VECTOR, [1, 2, 3], "[", ["a"] * 20],
        "exponents": [1e-7, -2.5e22] * 8,
    }
    left = json.loads(compacted(json.dumps(body, indent=indent)))
    assert left == {
        "data": [{"embedding": VECTOR_MARKER, "index": 0}, {"embedding": [0.25] * 15, "index": 1}],
        "note": body["note"],
        "nested": [VECTOR_MARKER, [1, 2, 3], "[", ["a"] * 20],
        "exponents": f"<vector: 16 dimensions, {text_digest([1e-7, -2.5e22] * 8)}>",
    }


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (json.dumps(VECTOR), f'"{VECTOR_MARKER}"'),
        (json.dumps([VECTOR]), f'["{VECTOR_MARKER}"]'),
        ("sort these: " + json.dumps(VECTOR), "sort these: " + json.dumps(VECTOR)),
        (json.dumps(VECTOR) + " sort these", json.dumps(VECTOR) + " sort these"),
        ("[" + "1" * 100 + "]", "[" + "1" * 100 + "]"),
        (json.dumps(VECTOR[:15]), json.dumps(VECTOR[:15])),
        (json.dumps(VECTOR, indent=4), f'"{VECTOR_MARKER}"'),
    ],
)
def test_arrays_of_numbers(text: str, left: str) -> None:
    assert compacted(text) == left


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=40),
        lambda inner: (
            st.lists(inner, max_size=5)
            | st.dictionaries(st.text(max_size=8), inner, max_size=4)
            | st.lists(st.floats(-1, 1), min_size=14, max_size=20)
            | st.text(alphabet='[]"\\,0123. ', min_size=30, max_size=60)
        ),
        max_leaves=15,
    )
)
@settings(max_examples=300, deadline=None)
def test_json_stays_json(body: Any) -> None:
    def expected(value: Any) -> Any:
        if isinstance(value, list):
            numbers = len(value) >= 16 and all(isinstance(item, float) for item in value)
            return f"<vector: {len(value)} dimensions, {text_digest(value)}>" if numbers else list(map(expected, value))
        return {key: expected(item) for key, item in value.items()} if isinstance(value, dict) else value

    for ensure_ascii in (True, False):
        text = json.dumps({"body": body, "end": [1, 2]}, ensure_ascii=ensure_ascii)
        assert json.loads(after({"tag": text}, FULL)["tag"]) == expected({"body": body, "end": [1, 2]})


def test_embeddings_become_a_handful_of_attributes() -> None:
    attributes: Dict[str, Any] = {"openinference.span.kind": "EMBEDDING", "input.value": "kept"}
    vectors = [[float(i), *VECTOR[1:]] for i in range(300)]
    for index, vector in enumerate(vectors):
        attributes[f"embedding.embeddings.{index}.embedding.vector"] = tuple(vector)
        attributes[f"embedding.embeddings.{index}.embedding.text"] = f"CANARY {index}"
    assert after(attributes, FULL) == {
        "openinference.span.kind": "EMBEDDING",
        "input.value": "kept",
        "gen_ai.embeddings.dimension.count": 1024,
        "hf.embeddings.count": 300,
        "hf.embeddings.digest": vector_digest(*vectors),
    }


def test_a_vector_under_another_name() -> None:
    left = after({"db.query.embeddings.vector": VECTOR, "my.vector": (1.5,) * 3, "histogram": [0.5] * 20}, FULL)
    assert left == {
        "db.query.embeddings.vector": f"<vector: 1024 dimensions, {vector_digest(VECTOR)}>",
        "my.vector": (1.5,) * 3,
        "histogram": [0.5] * 20,
    }


@pytest.mark.parametrize("vector", [("__REDACTED__",), "__REDACTED__", (), [float("nan")] * 3])
def test_odd_vectors_do_no_harm(vector: Any) -> None:
    left = after({"embedding.embeddings.0.embedding.vector": vector}, FULL)
    assert left.pop("hf.embeddings.count") == 1
    assert left.keys() <= {"gen_ai.embeddings.dimension.count", "hf.embeddings.digest"}
