"""The products that can stand on a route, one module a product.

A module of this package declares one `PRODUCT`; the package finds it by walking, so adding a product
is adding a file. Nothing here starts anything: a product says which command would run it, and the
testbed runs that command. Nothing here imports docker.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType

from lab.errors import BadInput
from lab.products._product import Product, Proxy

__all__ = ["PRODUCTS", "PROXIES", "Product", "Proxy", "resolve"]


def _walk() -> dict[str, Product]:
    """Every product, by name, in the order of the names."""
    found: dict[str, Product] = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda each: each.name):
        if not module.name.startswith("_"):
            product: Product = importlib.import_module(f"{__name__}.{module.name}").PRODUCT
            found[product.name] = product
    return found


PRODUCTS: Mapping[str, Product] = MappingProxyType(_walk())
"""Every product by its name, which is also the name of its folder inside a scenario."""

PROXIES: Mapping[str, Proxy] = MappingProxyType(
    {
        proxy.id: proxy
        for product in PRODUCTS.values()
        for proxy in (Proxy(product, release) for release in product.releases)
    }
)
"""Every product at every release that the lab knows, by id (`nginx-1.26`)."""


def resolve(name: str) -> tuple[Proxy, ...]:
    """The proxies that a user means: all releases of a product, or the one with that id.

    Args:
        name: a product (`nginx`) or an id (`nginx-1.26`).

    Raises:
        BadInput: no product and no proxy has that name.
    """
    if name in PRODUCTS:
        product = PRODUCTS[name]
        return tuple(Proxy(product, release) for release in product.releases)
    if name in PROXIES:
        return (PROXIES[name],)
    raise BadInput(
        f"No proxy is called {name!r}.",
        f"Name a product ({', '.join(PRODUCTS)}) or one release of it ({', '.join(PROXIES)}).",
    )
