"""Streams and their schemas (recorded). Statistics are those of a stream that was just written: files come later."""

from __future__ import annotations

from typing import Any, Dict, Mapping

from .http import Answer, json_answer
from .routing import Call, Route, failed
from .streams import Stream

_SETTINGS: Mapping[str, Any] = {
    "partition_keys": {},
    "full_text_search_keys": [],
    "index_fields": [],
    "bloom_filter_fields": [],
    "distinct_value_fields": [],
    "data_retention": 0,
    "max_query_range": 0,
    "store_original_data": False,
    "approx_partition": False,
    "index_updated_at": 0,
    "extended_retention_days": [],
    "index_original_data": False,
    "index_all_values": False,
    "enable_distinct_fields": True,
    "enable_log_patterns_extraction": False,
}


def streams_of_type(call: Call) -> Dict[str, Stream]:
    # OpenObserve's API reference: the default is logs, of which this server has none.
    return call.org.streams.get(call.query("type") or "logs", {})


def _list(call: Call) -> Answer:
    streams = streams_of_type(call)
    # Recorded: without their schemas.
    found = [dict(_describe(streams[name]), schema=[], total_fields=0) for name in sorted(streams)]
    return json_answer(200, {"list": found, "total": len(found)})


def _schema(call: Call) -> Answer:
    stream = streams_of_type(call).get(call.names[0])
    if stream is None:
        return failed(404, "stream not found")
    schema = [{"name": column, "type": stream.columns[column]} for column in sorted(stream.columns)]
    return json_answer(200, dict(_describe(stream), schema=schema, total_fields=len(schema)))


def _describe(stream: Stream) -> Dict[str, Any]:
    described: Dict[str, Any] = {
        "name": stream.name,
        "storage_type": "disk",
        "stream_type": stream.type,
        "stats": {
            "created_at": min((row["_timestamp"] for row in stream.rows), default=0),
            "doc_time_min": 0,
            "doc_time_max": 0,
            "doc_num": 0,
            "file_num": 0,
            "storage_size": 0.0,
            "compressed_size": 0.0,
            "index_size": 0.0,
        },
        "settings": dict(_SETTINGS, is_llm_stream=stream.is_llm_stream, storage_type="normal"),
    }
    if stream.metrics_meta is not None:
        described["metrics_meta"] = stream.metrics_meta
    return described


ROUTES = (
    Route("GET", r"/api/([^/]+)/streams", _list),
    Route("GET", r"/api/([^/]+)/streams/([^/]+)/schema", _schema),
)
