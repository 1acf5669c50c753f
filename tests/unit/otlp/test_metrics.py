"""Points in, bytes out: read by opentelemetry-proto, and equal to what it writes."""

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from hf_openobserve.metrics import instruments
from hf_openobserve.metrics.aggregation import Aggregation
from hf_openobserve.metrics.calls import Sample
from hf_openobserve.otlp import metrics
from hf_openobserve.row.record import ResourceRecord, ScopeRecord

LABELS = (("gen_ai.request.model", "m\ud800"), ("server.port", 443))
RESOURCE, SCOPE = ResourceRecord({"service.name": "tests"}), ScopeRecord("hf_openobserve", "1")


def encoded(*samples, is_delta=True):
    made = Aggregation(1000, is_delta=is_delta)
    for sample in samples:
        made.add(sample)
    return metrics.encode(made.collect(2000), RESOURCE, SCOPE)


def parsed(payload):
    message = ExportMetricsServiceRequest.FromString(payload)
    assert len(message.SerializeToString()) == len(payload), "no field is unknown, none is written twice"
    return message


def test_a_histogram_and_counters():
    message = parsed(
        encoded(
            Sample(instruments.DURATION, LABELS, 0.5),
            Sample(instruments.DURATION, LABELS, 100.0),
            Sample(instruments.INPUT, LABELS, 12),
            Sample(instruments.RETRIES, (), 0.25),
        )
    )
    (resource,) = message.resource_metrics
    (scope,) = resource.scope_metrics
    assert [(a.key, a.value.string_value) for a in resource.resource.attributes] == [("service.name", "tests")]
    assert (scope.scope.name, scope.scope.version) == ("hf_openobserve", "1")
    duration, tokens, retries = scope.metrics
    assert (duration.name, duration.unit, duration.description) == instruments.DURATION[:3]
    assert duration.histogram.aggregation_temporality == 1
    (point,) = duration.histogram.data_points
    assert (point.start_time_unix_nano, point.time_unix_nano) == (1000, 2000)
    assert (point.count, point.sum, point.min, point.max) == (2, 100.5, 0.5, 100.0)
    assert tuple(point.explicit_bounds) == instruments.SECONDS
    assert list(point.bucket_counts) == [0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]
    assert {a.key: MessageToDict(a.value) for a in point.attributes} == {
        "gen_ai.request.model": {"stringValue": "m\ufffd"},
        "server.port": {"intValue": "443"},
    }
    assert tokens.sum.is_monotonic
    assert [point.as_int for point in tokens.sum.data_points] == [12]
    assert [point.as_double for point in retries.sum.data_points] == [0.25]


def test_cumulative_says_so():
    message = parsed(
        encoded(Sample(instruments.INPUT, (), 1), Sample(instruments.FIRST_CHUNK, (), 1.0), is_delta=False)
    )
    found = message.resource_metrics[0].scope_metrics[0].metrics
    assert [found[0].sum.aggregation_temporality, found[1].histogram.aggregation_temporality] == [2, 2]


def test_several_payloads_are_one_request():
    one = encoded(Sample(instruments.INPUT, (), 1))
    assert len(parsed(one + one).resource_metrics) == 2
