"""Where a setting stands in a Traefik configuration, and where it has to be written for a router. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lab.products.traefik.files import at, key_in, keys_at, list_at, mapping_at
from lab.products.traefik.routes import Named, RouterWay, TraefikConfig
from lab.products.traefik.source import Keys, TraefikSource

LEVERS = ("# buffering", "# errors", "retryNonIdempotentMethod: false", "# fastProxy")
"""What is worth a try, beside the tested lines: to do without a middleware on the way, or without what is tried out."""

_MIDDLEWARES = ("buffering", "errors")


@dataclass(frozen=True, eq=False)
class SettingPlace:
    """A key that has to be otherwise.

    Args:
        source: in which file.
        keys: where.
        value: what it is to be; None where it is to be left out.
    """

    source: TraefikSource
    keys: Keys
    value: Any


def placed(config: TraefikConfig, way: RouterWay, setting: str) -> Iterator[SettingPlace]:
    """What has to be written for a setting to hold for a router; nothing where it holds already."""
    name, _, value = setting.removeprefix("# ").partition(": ")
    static = config.files.static
    if name in _MIDDLEWARES:
        yield from _without(config, way, name)
    elif name == "fastProxy" and static is not None and key_in(mapping_at(static.data, "experimental"), name):
        yield SettingPlace(static, keys_at(static.data, "experimental", name), None)
    elif name in ("writeTimeout", "keepAliveMaxRequests"):
        yield from _of_entry_point(config, way, name, value)
    elif name == "retryNonIdempotentMethod":
        for each in config.middlewares_of(way):
            if at(each.data, "retry", name) is True:
                yield SettingPlace(each.source, (*_keys_of(each), *keys_at(each.data, "retry", name)), False)
    elif name == "responseHeaderTimeout":
        for source, keys, now in _transports(config, way):
            if 0 < seconds(now) < seconds(value):
                yield SettingPlace(source, keys, value)


def standing(config: TraefikConfig, way: RouterWay, setting: str) -> tuple[TraefikSource, Keys] | None:
    """Where what a setting replaces stands; None where a default holds."""
    name = setting.removeprefix("# ").partition(": ")[0]
    if name in _MIDDLEWARES:
        for each in config.middlewares_of(way):
            if each.kind.lower() == name.lower():
                return each.source, (*_keys_of(each), each.kind)
    for place in placed(config, way, setting):
        return (place.source, place.keys) if place.keys in place.source.lines else None
    return None


def _of_entry_point(config: TraefikConfig, way: RouterWay, name: str, value: str) -> Iterator[SettingPlace]:
    static, point = config.files.static, way.entry_point
    within = ("transport", "respondingTimeouts", name) if name == "writeTimeout" else ("transport", name)
    now = at(point.data, *within)
    if static is None or (seconds(now) == 0 if name == "writeTimeout" else str(now) == value):
        return
    keys = (*keys_at(static.data, "entryPoints"), point.name, *keys_at(point.data, *within))
    yield SettingPlace(static, keys, value if name == "writeTimeout" else int(value))


def _transports(config: TraefikConfig, way: RouterWay) -> Iterator[tuple[TraefikSource, Keys, Any]]:
    """The waits for a header of the model's, of every service that a request may come to."""
    within = ("forwardingTimeouts", "responseHeaderTimeout")
    for service in config.services_of(way.router):
        own = config.own_name(at(service.data, "loadBalancer", "serversTransport"))
        for source in config.files.dynamic if own else ():
            transports = mapping_at(source.data, "http", "serversTransports")
            if own in transports:
                group = keys_at(source.data, "http", "serversTransports")
                yield source, (*group, own, *keys_at(transports[own], *within)), at(transports[own], *within)
        static = config.files.static
        if not own and static is not None:
            keys = keys_at(static.data, "serversTransport", *within)
            yield static, keys, at(static.data, "serversTransport", *within)


def _keys_of(named: Named) -> Keys:
    return (*keys_at(named.source.data, "http", named.group), named.name)


def _without(config: TraefikConfig, way: RouterWay, kind: str) -> Iterator[SettingPlace]:
    """The lists on the way without the middlewares of a kind."""
    gone = {each.name for each in config.middlewares_of(way) if each.kind.lower() == kind.lower()}
    lists: list[tuple[Named | None, Any, tuple[str, ...]]] = [(way.router, way.router.data, ("middlewares",))]
    chains = [each for each in config.middlewares_of(way) if key_in(each.data, "chain")]
    lists += [(each, each.data, ("chain", "middlewares")) for each in chains]
    lists += [(None, way.entry_point.data, ("http", "middlewares"))]
    for named, data, within in lists:
        names = list_at(data, *within)
        kept = [each for each in names if config.own_name(each) not in gone]
        if kept == names:
            continue
        if named is not None:
            yield SettingPlace(named.source, (*_keys_of(named), *keys_at(data, *within)), kept)
        elif (static := config.files.static) is not None:
            point = (*keys_at(static.data, "entryPoints"), way.entry_point.name)
            yield SettingPlace(static, (*point, *keys_at(data, *within)), kept)


def seconds(value: Any) -> float:
    """What a duration lasts; a number without a unit is of seconds, and what cannot be read is none."""
    text = str(value or "")
    if re.fullmatch(r"\d+", text):
        return float(text)
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)", text))


_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
