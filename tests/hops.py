"""The proxies that `recommended` holds to the whole suite: all scenarios are about them.

Others take part in scenarios of their own, as application servers do, or have their files verified only.
"""

from __future__ import annotations

from collections.abc import Mapping

from lab.products import PROXIES, Proxy
from lab.shipped import shipped

HOPS: Mapping[str, Proxy] = {
    name: proxy
    for name, proxy in PROXIES.items()
    if (shipped("scenarios") / "recommended" / proxy.product.name).is_dir()
}
