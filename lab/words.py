"""The lab's vocabulary: closed sets that code, files, commands and reports share.

Every set is an enum whose value is the word as users meet it in `scenario.toml`, in `results.json`
and on the page. Nothing here imports anything of the lab.
"""

from __future__ import annotations

from enum import StrEnum


class Side(StrEnum):
    """Which of a scenario's configurations is on the route.

    Every proxy that can fail has `broken` and `fixed`. A proxy that cannot fail in its defaults has
    `immune` instead, and `real-defaults` is the broken side with the product's own, unshortened clocks.
    """

    BROKEN = "broken"
    FIXED = "fixed"
    IMMUNE = "immune"
    REAL_DEFAULTS = "real-defaults"


class Group(StrEnum):
    """The failure modes that streaming adds to a batch call, the choice between both, and what to deploy."""

    BUFFERING = "buffering"
    TIMEOUTS = "timeouts"
    PARTIAL = "partial"
    CHOICE = "choice"
    RECOMMENDED = "recommended"


class Delivery(StrEnum):
    """How the tokens came."""

    INCREMENTAL = "incremental"
    COALESCED = "coalesced"
    BATCHED = "batched"
    NONE = "none"


class Ending(StrEnum):
    """How the answer ended, by what the client could and could not know."""

    COMPLETE = "complete"
    DECLARED_PARTIAL = "declared-partial"
    MODEL_ERROR_IN_STREAM = "model-error-in-stream"
    MODEL_ERROR_STATUS = "model-error-status"
    PROXY_ERROR_STATUS = "proxy-error-status"
    WRONG_REPLY = "wrong-reply"
    TIME_OUT = "time-out"
    CUT = "cut"
    MALFORMED = "malformed"
    SILENTLY_TRUNCATED = "silently-truncated"
    FORGED_COMPLETE = "forged-complete"
    CORRUPT = "corrupt"


class Cause(StrEnum):
    """What brought the ending or the delivery about, where the evidence carries it."""

    FIRST_BYTE_CLOCK = "first-byte-clock"
    IDLE_CLOCK = "idle-clock"
    TOTAL_CLOCK = "total-clock"
    MODEL_DIED = "model-died"
    MODEL_ERROR = "model-error"
    TOKEN_LIMIT = "token-limit"
    CONTENT_FILTER = "content-filter"
    BUFFER = "buffer"
    COMPRESSION = "compression"
    LOST_IN_BUFFER = "lost-in-buffer"
    PROBE_GAVE_UP = "probe-gave-up"


class Outcome(StrEnum):
    """What became of one side of one scenario behind one proxy."""

    PASSED = "passed"
    FAILED = "failed"
    SET_UP_FAILED = "set-up failed"
    HARNESS_FAILED = "harness failed"
    SKIPPED = "skipped"
    INCONCLUSIVE = "inconclusive"
