"""The lab's vocabulary: closed sets that code, files, commands and reports share.

Every set is an enum whose value is the word as users meet it in `scenario.toml`, in `results.json`
and on the page. Nothing here imports anything of the lab.
"""

from __future__ import annotations

from enum import StrEnum


class Variant(StrEnum):
    """Which of a scenario's configurations is on the route.

    Every proxy that can fail has `broken` and `fixed`. A proxy that does not show this failure has `not-affected`
    instead, and `real-defaults` is the broken variant with the product's own, unshortened timeouts. `measured` is what
    a product does where nothing is to be mended.
    """

    BROKEN = "broken"
    FIXED = "fixed"
    NOT_AFFECTED = "not-affected"
    REAL_DEFAULTS = "real-defaults"
    MEASURED = "measured"


class Group(StrEnum):
    """The failure modes that streaming adds to a batch call, those of many at once or of change, and what to deploy."""

    BUFFERING = "buffering"
    TIMEOUTS = "timeouts"
    PARTIAL = "partial"
    CHOICE = "choice"
    LOAD = "load"
    CHANGE = "change"
    RECOMMENDED = "recommended"


class Requirement(StrEnum):
    """What a streaming path must do; the sentence and the rule of each stand in `lab.judge.requirements`."""

    DELIVERS_TOKENS_AS_THEY_COME = "delivers-tokens-as-they-come"
    SENDS_HEADERS_AT_ONCE = "sends-headers-at-once"
    PASSES_HEARTBEATS_ON = "passes-heartbeats-on"
    WAITS_FOR_THE_FIRST_TOKEN = "waits-for-the-first-token"
    SURVIVES_SILENCE = "survives-silence"
    LETS_LONG_ANSWERS_FINISH = "lets-long-answers-finish"
    WAITS_FOR_BATCH_REPLIES = "waits-for-batch-replies"
    SHOWS_A_CUT_AS_A_CUT = "shows-a-cut-as-a-cut"
    FORGES_NO_END = "forges-no-end"
    ENDS_WHEN_THE_MODEL_DIES = "ends-when-the-model-dies"
    DELIVERS_WHAT_WAS_SENT = "delivers-what-was-sent"
    PASSES_ERRORS_ON = "passes-errors-on"
    STOPS_WHEN_THE_CLIENT_LEAVES = "stops-when-the-client-leaves"
    GENERATES_ONCE = "generates-once"
    MOVES_THE_FIRST_TOKEN_FORWARD = "moves-the-first-token-forward"
    MAKES_PARTIAL_ANSWERS_VISIBLE = "makes-partial-answers-visible"
    SERVES_OTHERS_MEANWHILE = "serves-others-meanwhile"
    TURNS_NOBODY_AWAY = "turns-nobody-away"
    SURVIVES_A_RELOAD = "survives-a-reload"
    SURVIVES_A_MODEL_RESTART = "survives-a-model-restart"
    REUSES_CONNECTIONS = "reuses-connections"
    REUSES_NO_CLOSED_CONNECTION = "reuses-no-closed-connection"
    WAITS_FOR_SLOW_READERS = "waits-for-slow-readers"


class State(StrEnum):
    """What was observed of a requirement on a target."""

    MET = "met"
    NOT_MET = "not-met"
    INCONCLUSIVE = "inconclusive"
    """The exchanges show nothing either way, or the machine was too busy to tell."""
    NOT_APPLICABLE = "not-applicable"
    """Nothing was asked that could show it; the reason is given."""


class Delivery(StrEnum):
    """How the tokens came; `unproven` where nothing shows that they were held, nor that they were not."""

    INCREMENTAL = "incremental"
    COALESCED = "coalesced"
    BATCHED = "batched"
    UNPROVEN = "unproven"
    NONE = "none"


class Ending(StrEnum):
    """How the answer ended, by what the client could and could not know."""

    COMPLETE = "complete"
    DECLARED_PARTIAL = "declared-partial"
    MODEL_ERROR_IN_STREAM = "model-error-in-stream"
    MODEL_ERROR_STATUS = "model-error-status"
    PROXY_ERROR_STATUS = "proxy-error-status"
    WRONG_REPLY = "wrong-reply"
    PROBE_TIMEOUT = "probe-timeout"
    CUT = "cut"
    MALFORMED = "malformed"
    SILENTLY_TRUNCATED = "silently-truncated"
    FORGED_COMPLETE = "forged-complete"
    CORRUPT = "corrupt"


class Cause(StrEnum):
    """What brought the ending or the delivery about, where the evidence carries it."""

    FIRST_BYTE_TIMEOUT = "first-byte-timeout"
    IDLE_TIMEOUT = "idle-timeout"
    TOTAL_TIMEOUT = "total-timeout"
    MODEL_DIED = "model-died"
    MODEL_ERROR = "model-error"
    TOKEN_LIMIT = "token-limit"
    CONTENT_FILTER = "content-filter"
    BUFFER = "buffer"
    COMPRESSION = "compression"
    LOST_IN_BUFFER = "lost-in-buffer"
    PROBE_TIMEOUT = "probe-timeout"


class Flag(StrEnum):
    """What else the evidence shows; no flag changes the ending."""

    DIRTY_CLOSE = "dirty-close"
    """The answer was whole, and the connection did not end as it should have."""
    MARKER_MISSING = "marker-missing"
    """The answer was whole with a reason, and the terminal marker never came."""
    FINISH_MISSING = "finish-missing"
    """The terminal marker came without any reason."""
    FINISH_UNKNOWN = "finish-unknown"
    """The reason is one that the wire format does not know."""
    CALL_BROKEN = "call-broken"
    """The answer ends with a call of a tool whose arguments are not whole."""
    ALSO_ENDED = "also-ended"
    """An error event came, and a reason or a marker too."""
    RETRIED = "retried"
    """The model server had the request more than once."""
    LOST_TOKENS = "lost-tokens"
    """The model wrote tokens that never came."""
    HEARTBEATS_ONLY = "heartbeats-only"
    """Heartbeats came, and never a token."""
    UNREADABLE_EVENT = "unreadable-event"
    """An event broke the wire format, or the body could not be decoded."""
    WRONG_TYPE = "wrong-type"
    """The content type is not that of what was asked for."""
    COMPRESSED = "compressed"
    """The body had a content coding."""
    SEVERAL_MEMBERS = "several-members"
    """The body is several members of gzip or frames of zstd, and most clients stop after the first."""
    ASKED_WITH_HTTP_1_0 = "asked-with-http-1.0"
    """The model server was asked with HTTP/1.0, which leaves it no way to mark the end of a stream."""
    TRAILING_BYTES = "trailing-bytes"
    """Bytes came after the end of the body."""


class Precedence(StrEnum):
    """How a process comes to run before those of others on its machine."""

    REAL_TIME = "real-time class"
    """Before every ordinary process, as far as the kernel lets it."""
    NICE = "nice value"
    """More often than others, among the processes of its own session or control group."""
    SHARES = "container shares"
    """A larger share for its container, where the processor is short."""
    NONE = "none"
    """Like every other process: the lab may not ask for more, or the system knows no such thing."""


class RunnerName(StrEnum):
    """What has targets up."""

    AUTO = "auto"
    """Containers wherever an engine answers or can be had, else processes."""
    CONTAINERS = "containers"
    PROCESSES = "processes"


class Saved(StrEnum):
    """What a saved result is; each file says so in its field `kind`, so that `lab report` knows what to make of it."""

    RUN = "run"
    AUDIT = "audit"
    ACTIVE_AUDIT = "active-audit"
    CLIENTS = "clients"
    COMPARISON = "comparison"
    LOAD = "load"
    PROOF = "proof"


class Outcome(StrEnum):
    """What became of one case of one scenario behind one proxy."""

    PASSED = "passed"
    FAILED = "failed"
    SET_UP_FAILED = "set-up failed"
    HARNESS_FAILED = "harness failed"
    SKIPPED = "skipped"
    INCONCLUSIVE = "inconclusive"


class Trouble(StrEnum):
    """What kind of thing is wrong on a path, as far as a remedy is concerned."""

    HOLDING = "holding"
    COMPRESSION = "compression"
    """It holds what is asked for with a content coding, and nothing else."""
    TIMEOUT = "timeout"
    DEATH = "death"
    """It died, and nothing says whether by a timeout."""
    HIDDEN_CUT = "hidden-cut"
    GOES_ON = "goes-on"
    """The model goes on for a client that has left."""
    FAULT = "fault"
    """It died or was refused at once, or with a status that is no timeout's: no setting of a proxy mends that."""


class Watched(StrEnum):
    """What a timeout of the path watches."""

    FIRST_BYTE = "first-byte"
    """The wait before the headers of a stream."""
    FIRST_TOKEN = "first-token"
    """The wait between early headers and the first byte of the body."""
    IDLE = "idle"
    """A silence amid a stream."""
    TOTAL = "total"
    """The whole exchange, however lively."""
    BATCH_REPLY = "batch-reply"
    """The wait for a reply that comes all at once."""
