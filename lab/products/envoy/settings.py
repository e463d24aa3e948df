"""Where a setting stands in an Envoy configuration, and where it has to be written for a route. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from yaml import MappingNode, Node

from lab.products.envoy.document import get, items, keys, text_at
from lab.products.envoy.routes import Bootstrap, ClusterRoute, filter_of
from lab.products.yaml_text import Edit

LEVERS = (
    "max_stream_duration: {max_stream_duration: 0s}",
    "per_try_timeout: 0s",
    "retry_policy: {num_retries: 0}",
    "max_request_bytes: 67108864",
    *(
        f"typed_per_filter_config: {{envoy.filters.http.{name}: "
        '{"@type": type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: true}}'
        for name in ("lua", "custom_response", "file_system_buffer", "bandwidth_limit", "fault")
    ),
)
"""Lines that are worth a try, beside the tested ones; the last ones do without a filter on one route."""

_IDLE = 300.0
"""Seconds of silence after which Envoy ends a stream where nothing is set."""

Place = tuple[Node, str]
"""A mapping, and a key of it."""


def places_of(bootstrap: Bootstrap, route: ClusterRoute, setting: str) -> Iterator[Place]:
    """Where what a setting is about may stand for a route, the nearest first."""
    name = setting.partition(":")[0]
    action = route.action
    assert action is not None  # noqa: S101  # it leads to a cluster
    match name:
        case "timeout":
            yield action, name
        case "idle_timeout":
            yield from ((action, name), (route.manager, "stream_idle_timeout"))
        case "retry_policy":
            yield from ((action, name), (route.host, name))
        case "per_try_timeout":
            policies = [get(action, "retry_policy"), get(route.host, "retry_policy")]
            # The nearest policy is the whole of it.
            yield from ((each, name) for each in [each for each in policies if each is not None][:1])
        case "max_stream_duration":
            yield action, name
            yield from _durations(bootstrap, route)
        case "max_request_bytes":
            yield from ((config, name) for each in _filters(route, "buffer") for config in _limits(route, each))
        case _:
            yield from ((each, "name") for each in _filters(route, _filter_named(setting)))


def placed(bootstrap: Bootstrap, route: ClusterRoute, setting: str) -> Iterator[Edit]:
    """What has to be written for a setting to hold for a route; nothing where it holds already."""
    name, _, value = setting.partition(": ")
    places = list(places_of(bootstrap, route, setting))
    standing = [(mapping, key) for mapping, key in places if key in keys(mapping)]
    match name:
        case "timeout":
            if text_at(*places[0]) == "" or seconds(text_at(*places[0])):
                yield Edit(places[0][0], name, value)
        case "idle_timeout":
            now = seconds(text_at(*standing[0])) if standing else _IDLE
            if 0 < now < seconds(value):
                yield Edit(places[0][0], name, value)
        case "retry_policy":
            if standing:
                yield Edit(places[0][0], name, value)
        case "per_try_timeout":
            yield from (Edit(mapping, key, value) for mapping, key in standing)
        case "max_stream_duration":
            yield from _without_duration(bootstrap, route, value)
        case "max_request_bytes":
            yield from (Edit(each, name, value) for each, _ in standing if int(text_at(each, name)) < int(value))
        case _:
            yield from (_disabled(route, text_at(each, "name"), value) for each, _ in standing)


def _durations(bootstrap: Bootstrap, route: ClusterRoute) -> Iterator[Place]:
    """Where a stream's longest duration may stand beside the route: in the manager, and in the clusters."""
    common = "common_http_protocol_options"
    options = [get(route.manager, common)]
    for cluster in bootstrap.clusters:
        if text_at(cluster, "name") in route.clusters:
            own = get(cluster, "typed_extension_protocol_options")
            options.append(get(cluster, common))
            options += [get(each, common) for _, each in (own.value if own is not None else ())]
    yield from ((each, "max_stream_duration") for each in options if each is not None)


def _without_duration(bootstrap: Bootstrap, route: ClusterRoute, value: str) -> Iterator[Edit]:
    action, common = route.action, get(route.manager, "common_http_protocol_options")
    assert action is not None  # noqa: S101  # it leads to a cluster
    own = text_at(action, "max_stream_duration", "max_stream_duration")
    if seconds(own or text_at(common, "max_stream_duration")):
        yield Edit(action, "max_stream_duration", value)
    for mapping, key in _durations(bootstrap, route):
        # The manager's is the route's to override; a cluster's is nobody's.
        if mapping is not common and seconds(text_at(mapping, key)):
            yield Edit(mapping, key, "0s")


def _filters(route: ClusterRoute, name: str) -> list[Node]:
    """The HTTP filters of a kind that a route's requests go through."""
    return [each for each in items(route.manager, "http_filters") if filter_of(each) == name]


def _limits(route: ClusterRoute, filter_: Node) -> list[Node]:
    """Where the limit of a `buffer` stands for a route: its own, or its host's, goes before the filter's."""
    name = text_at(filter_, "name")
    own = [get(each, "typed_per_filter_config", name, "buffer") for each in (route.node, route.host)]
    return [each for each in (*own, get(filter_, "typed_config")) if each is not None][:1]


def _filter_named(setting: str) -> str:
    found = re.search(r"envoy\.filters\.http\.(\w+)", setting)
    return found[1] if found else ""


def _disabled(route: ClusterRoute, name: str, value: str) -> Edit:
    """A route without the filter of that name, which may be the user's own."""
    kind = _filter_named(value)
    own = get(route.node, "typed_per_filter_config")
    if isinstance(own, MappingNode):
        return Edit(own, name, value.partition(": ")[2].removesuffix("}"))
    return Edit(route.node, "typed_per_filter_config", value.replace(f"envoy.filters.http.{kind}", name))


def seconds(text: str) -> float:
    """What a duration lasts; one that cannot be read, or is not there, is none."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)s", text)
    return float(found[1]) if found else 0.0
