"""The proxies that are no applications: each passes on whatever a scenario asks, as it is configured."""

from __future__ import annotations

from collections.abc import Mapping

from lab.products import PROXIES, Proxy

HOPS: Mapping[str, Proxy] = {name: proxy for name, proxy in PROXIES.items() if not proxy.product.application}
