"""gunicorn: an application server that gives each request a worker, or a thread of one, for as long as it takes.

Its configurations are applications that pass requests on to the model: how they relay is theirs, and not gunicorn's.
One file is both its configuration and the application.
"""

from __future__ import annotations

from lab.products._product import VERSION, DebianPackage, Product, Signs, Version, header


def _serve(path: str) -> list[str]:
    return ["gunicorn", "--config", path]


def _at_home(text: str, _: str) -> str:
    return text.replace('bind = "0.0.0.0:', 'bind = "127.0.0.1:')


PRODUCT = Product(
    name="gunicorn",
    title="gunicorn",
    suffix=".py",
    versions=(Version("23.0", "", DebianPackage("trixie", "gunicorn")),),
    command=_serve,
    version_command=("gunicorn", "--version"),
    version_pattern=r"gunicorn \(version (\d+\.\d+\.\d+)\)",
    signs=Signs(headers=(header("server", rf"^gunicorn{VERSION}"),)),
    at_home=_at_home,
    # As many as its configurations have in all.
    threads=220,
)
