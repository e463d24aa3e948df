"""The closed schema of `scenario.toml` and of each product's `expected.toml`, as it stands in the files.

An unknown key, a missing key or a value outside its set is refused with the file, the key and the
reason. What these models hold is still the author's text; `lab.catalogue.scenario` turns it into the
frozen values that the run works with.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from lab.durations import Duration
from lab.evidence import HttpVersion
from lab.vocabulary import Cause, Delivery, Ending, Flag, Group, Requirement, State

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
Fields = dict[str, Any]
"""Fields of a plan; checked by `lab.plan` once the overlays are joined."""


class Closed(BaseModel):
    """Base of every table: unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Lengths(Closed):
    """A batch of generations of random length: one exchange each, drawn from a seed.

    Lengths nearer to `clear_of` than a quarter of it are drawn again, so that a busy machine cannot
    move one across the timeout.
    """

    count: Annotated[int, Field(ge=2, le=100)]
    least: Duration
    most: Duration
    clear_of: Duration
    seed: int = 1


class ExchangeTable(Closed):
    """One request of the scenario, with `times` so many alike, or with `lengths` a batch of them.

    `path` is asked in place of the wire format's own, `headers` are sent besides, `body_bytes` is how long the body of
    the request is made at least, `leave_after` when its client leaves, `pause` for how long that reads nothing once the
    body has begun, and `http` the version, "2" for configurations with a certificate only. It begins `delay` after the
    case, and each of several `every` after the one before, or, with `in_turn`, when the one before is over.
    `connections` is how many one client opens for all of them over HTTP/1.1, as a browser does. With `kept` its
    connection is there from its `delay` on, has a short answer, and rests for so long before the request is sent.
    """

    plan: Fields = {}
    stream: bool = True
    wire_format: str = "openai-chat"
    accept_encoding: str = ""
    method: Literal["POST", "GET"] = "POST"
    path: Annotated[str, Field(pattern=r"^(/\S*)?$")] = ""
    headers: dict[str, str] = {}
    body_bytes: Annotated[int, Field(ge=0, le=16 * 2**20)] = 0
    leave_after: Duration | None = None
    pause: Annotated[Duration, Field(gt=0)] | None = None
    http: HttpVersion = HttpVersion.HTTP_1_1
    requirement: Requirement | None = None
    times: Annotated[int, Field(ge=1, le=2_000)] = 1
    delay: Duration = 0.0
    every: Duration = 0.0
    in_turn: bool = False
    connections: Annotated[int, Field(ge=1)] | None = None
    kept: Annotated[Duration, Field(gt=0)] | None = None
    lengths: Lengths | None = None


class SymptomTable(Closed):
    """What the broken variant shows in one exchange; fields left out may be anything.

    With no field at all, the exchange breaks its requirement, and that is all that is looked at. `some` says that of
    several alike at least one shows it, and that the others are complete.
    """

    some: bool = False

    delivery: Delivery | None = None
    ending: Ending | None = None
    cause: Cause | None = None
    status: int | None = None
    received: int | None = None
    timeout: Duration | None = None
    longer_than: Duration | None = None


class VariantTable(Closed):
    """What a variant changes beside the product's configuration.

    `stream` overrides every exchange. `every` spreads exchanges of one name that begin at once otherwise. `drain` lets
    a model server that is started anew end its answers first. `shows` are flags that every verdict must carry, so that
    a variant cannot pass for want of what it is about, such as compression. `config` takes the product's own
    configuration, from its folder in `lab/products`.
    """

    title: str = ""
    config: Literal["default", "recommended"] | None = None
    stream: bool | None = None
    drain: bool = False
    plan: Fields = {}
    exchanges: dict[Name, Fields] = {}
    lengths: dict[Name, Lengths] = {}
    every: dict[Name, Duration] = {}
    consumers: list[str] = []
    shows: list[Flag] = []


class RealDefaultsTable(Closed):
    """The same failure with the products' own timeouts."""

    exchanges: dict[Name, Fields]
    lengths: dict[Name, Lengths] = {}


class RestartTable(Closed):
    """When, after the beginning of a case, its first model server ends, and for how long it is down."""

    at: Duration
    down: Duration


class ScenarioTable(Closed):
    """The whole of `scenario.toml`; with `suite`, the exchanges are those that settle every requirement.

    `reload` is how long after the beginning of a case its product reads its files anew, and `restart` when its first
    model server is started anew.
    """

    title: str
    group: Group
    requirement: Requirement
    order: int = 100
    sources: list[str] = []
    suite: bool = False
    exchanges: dict[Name, ExchangeTable] = {}
    reload: Duration | None = None
    restart: RestartTable | None = None
    symptom: dict[Name, SymptomTable] = {}
    broken: VariantTable = VariantTable()
    fixed: VariantTable = VariantTable()
    fixes: dict[Name, VariantTable] = {}
    real_defaults: RealDefaultsTable | None = None


Number = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)*$")]


class Some(Closed):
    """Which versions of a product are meant: from `since` on, and older than `before`; all without either."""

    since: Number | None = None
    before: Number | None = None


class BrokenTable(Some):
    """Versions that fail so, and what they show where it differs from `scenario.toml`.

    `without` names fixes that are of no use to this product, each with the reason; `meets` are requirements that they
    meet all the same, and `unmet` those that no configuration of theirs meets, fixed or not, each with the reason.
    """

    symptom: dict[Name, SymptomTable] = {}
    without: dict[Name, str] = {}
    meets: list[Requirement] = []
    unmet: dict[Requirement, str] = {}


class NotAffectedTable(Some):
    """Versions that do not show this failure, and why."""

    why: str
    shows: list[Flag] = []


class MeasuredTable(Some):
    """Versions that are only measured; `expects` says what is known of them beforehand."""

    title: str = ""
    expects: dict[Requirement, State] = {}


class OwnDefaultsTable(Closed):
    """What the product shows with its own timeouts."""

    symptom: Annotated[dict[Name, SymptomTable], Field(min_length=1)]


class ExpectedTable(Closed):
    """The whole of `<product>/expected.toml`; what is not said to be unaffected fails as `scenario.toml` says."""

    broken: BrokenTable | None = None
    not_affected: NotAffectedTable | None = None
    measured: MeasuredTable | None = None
    real_defaults: OwnDefaultsTable | None = None
