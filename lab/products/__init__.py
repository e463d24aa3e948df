"""The products that can stand on a route, one folder a product.

A package in this folder declares one `PRODUCT`; it is found by walking, so adding a product is adding a folder, and
no other file knows a product's name. Nothing here starts anything: a product says which command would run it, and the
testbed runs that command. Beside the module stand `default` and `recommended`, the configurations as installed and as
they should be.

`RECOGNISED` has the products too that the lab only knows by what they leave in a reply (`_recognised`).
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType

from lab.errors import BadInput
from lab.products._product import (
    CERTIFICATE,
    Complaint,
    DebianPackage,
    OwnBinary,
    Product,
    Proxy,
    Remedy,
    Signs,
    Snippets,
    Version,
    Wheel,
    order_of,
    speaks_tls,
)
from lab.products._recognised import OTHERS

__all__ = [
    "CERTIFICATE",
    "PRODUCTS",
    "PROXIES",
    "RECOGNISED",
    "Complaint",
    "DebianPackage",
    "OwnBinary",
    "Product",
    "Proxy",
    "Remedy",
    "Signs",
    "Snippets",
    "Version",
    "Wheel",
    "order_of",
    "resolve",
    "speaks_tls",
]


def _walk() -> dict[str, Product]:
    """Every product, by name, in the order of the names."""
    found: dict[str, Product] = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda each: each.name):
        if module.ispkg:
            product: Product = importlib.import_module(f"{__name__}.{module.name}").PRODUCT
            found[product.name] = product
    return found


PRODUCTS: Mapping[str, Product] = MappingProxyType(_walk())
"""Every product by its name, which is also the name of its folder inside a scenario."""

PROXIES: Mapping[str, Proxy] = MappingProxyType(
    {
        proxy.id: proxy
        for product in PRODUCTS.values()
        for proxy in (Proxy(product, version) for version in product.versions)
    }
)
"""Every product at every version that the lab knows, by id (`nginx-1.26`)."""

RECOGNISED: Mapping[str, Signs] = MappingProxyType(
    {**OTHERS, **{product.title: product.signs for product in PRODUCTS.values()}}
)
"""By which words products show themselves in replies, by title. Forks come before what they were made from."""


def resolve(name: str) -> tuple[Proxy, ...]:
    """The proxies that a user means: all versions of a product, or the one with that id.

    Args:
        name: a product (`nginx`) or an id (`nginx-1.26`).

    Raises:
        BadInput: no product and no proxy has that name.
    """
    if name in PRODUCTS:
        product = PRODUCTS[name]
        return tuple(Proxy(product, version) for version in product.versions)
    if name in PROXIES:
        return (PROXIES[name],)
    raise BadInput(
        f"No proxy is called {name!r}.",
        f"Name a product ({', '.join(PRODUCTS)}) or one version of it ({', '.join(PROXIES)}).",
    )
