"""uvicorn: an asynchronous application server, in which a stream has a task and no worker.

Its configurations are applications that pass requests on to the model: how they relay is theirs, and not uvicorn's.
"""

from __future__ import annotations

from lab.products._product import DebianPackage, Product, Signs, Version, header

_LOOKUP = '"$(command -v uvicorn)"'
_START = f"""\
bind=$(sed -n 's/^BIND = "\\(.*\\)"/\\1/p' "$0")
exec {_LOOKUP} --app-dir "$(dirname "$0")" --host "${{bind%:*}}" --port "${{bind##*:}}" "$(basename "$0" .py):relay"
"""


def _serve(path: str) -> list[str]:
    return ["sh", "-c", _START, path]


def _at_home(text: str, _: str) -> str:
    return text.replace('BIND = "0.0.0.0:', 'BIND = "127.0.0.1:')


PRODUCT = Product(
    name="uvicorn",
    title="uvicorn",
    suffix=".py",
    versions=(Version("0.32", "", DebianPackage("trixie", "uvicorn")),),
    command=_serve,
    version_command=("sh", "-c", f"{_LOOKUP} --version"),
    programs=("uvicorn",),
    lookup=_LOOKUP,
    version_pattern=r"uvicorn (\d+\.\d+\.\d+)",
    signs=Signs(headers=(header("server", r"^uvicorn"),)),
    at_home=_at_home,
)
