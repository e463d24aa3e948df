"""Any bytes at all."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from lab.consume import (
    Complete,
    Consumer,
    Failed,
    Partial,
    Refused,
)

from .dialects import (
    DIALECTS,
    HTML,
    Dialect,
    ReadTimeout,
    any_dialect,
)

KEYS = ["choices", "delta", "content", "finish_reason", "usage", "completion_tokens", "error", "type", "text"]

_fragments = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"data: ", b"data: {\n\n", b"\n\n", b"\r\n\r\n", b": \n", b"event: message_stop\n", HTML]),
    st.sampled_from(
        [getattr(d, part).encode() for d in DIALECTS for part in ("opening", "error", "marker", "error_document")]
    ),
    st.sampled_from([(d.token % "x").encode() for d in DIALECTS]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(KEYS),
                inner,
                max_size=3,
            )
        ),
        max_leaves=8,
    ).map(lambda document: f"data: {json.dumps(document)}\n\n".encode()),
)


@settings(max_examples=300)
@given(
    dialect=any_dialect,
    chunks=st.lists(_fragments, max_size=12),
    error=st.sampled_from([None, ConnectionResetError(), ReadTimeout()]),
    status=st.sampled_from([200, 200, 200, 204, 302, 429, 504]),
    stream=st.booleans(),
)
def test_any_bytes_have_exactly_one_outcome(
    dialect: Dialect, chunks: list[bytes], error: Exception | None, status: int, stream: bool
) -> None:
    """Whatever comes, nothing is raised, one outcome results, and it stays."""
    consumer = Consumer(dialect.name, stream=stream, exact_count=True)
    consumer.head(status)
    shown = "".join([consumer.feed(chunk) for chunk in chunks])
    outcome = consumer.close(error)
    assert isinstance(outcome, Complete | Partial | Refused | Failed)
    if isinstance(outcome, Complete | Partial) and stream:
        assert outcome.text == shown == consumer.text
    assert consumer.feed((dialect.token % "late").encode()) == ""
    assert consumer.close() is outcome
