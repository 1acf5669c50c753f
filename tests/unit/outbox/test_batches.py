"""What goes into one request."""

from __future__ import annotations

import pytest

from hf_openobserve.outbox import batches


@pytest.mark.parametrize(
    ("sizes", "cut"),
    [
        ([], []),
        ([1], [1]),
        ([1] * 7, [3, 3, 1]),
        ([40, 40, 40], [2, 1]),
        ([100, 1, 1], [1, 2]),
        ([500], [1]),
        ([1, 500, 1], [1, 1, 1]),
    ],
)
def test_requests_are_bounded_in_spans_and_bytes(sizes, cut):
    records = [(number, b"x" * size) for number, size in enumerate(sizes)]
    requests = batches.cut(records, 3, 100)
    assert [len(request) for request in requests] == cut
    assert [record for request in requests for record in request] == records
