"""Configuration files as templates: where to listen and where the model server is.

Only eight names are replaced, in braces. Everything else that starts with a dollar belongs to the
proxy, whose own variables look much the same. Pure except for reading the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lab.errors import BadInput
from lab.files import read_words

_NAMES = re.compile(r"\$\{(PORT|MODEL|MODEL_HOST|MODEL_PORT|MODEL_2|MODEL_2_PORT|CERTIFICATE|EDITION)\}")

_LOOPBACK = re.compile(r"\b127\.\d+\.\d+\.\d+|\blocalhost\b|(?<![0-9A-Fa-f:])::1(?![0-9A-Fa-f:])")

COMPANIONS_LIMIT = 16 * 2**20
"""Bytes of other files beside a configuration that are copied along: certificates and the like, no home folder."""


@dataclass(frozen=True)
class Upstream:
    """Where a proxy finds the model server, seen from inside the network of the containers.

    Args:
        host: its name.
        port: its port.
        second: the port of a second one on that host; 0 where the configuration has none.
    """

    host: str
    port: int
    second: int = 0

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def fill(template: str, port: int, model: Upstream, certificate: str = "", edition: int = 1) -> str:
    """A template with its names replaced. Pure.

    Args:
        template: the text of a configuration file.
        port: where the proxy is to listen.
        model: what it is to ask.
        certificate: the path of the file with a key and its certificate.
        edition: how often it has been written, this time included.
    """
    values = {
        "PORT": str(port),
        "MODEL": str(model),
        "MODEL_HOST": model.host,
        "MODEL_PORT": str(model.port),
        "MODEL_2": f"{model.host}:{model.second}",
        "MODEL_2_PORT": str(model.second),
        "CERTIFICATE": certificate,
        "EDITION": str(edition),
    }
    return _NAMES.sub(lambda match: values[match.group(1)], template)


def read_template(path: Path) -> str:
    """The text of a configuration file that says where to listen.

    Raises:
        BadInput: the file cannot be read as UTF-8, or has no `${PORT}`.
    """
    try:
        text = read_words(path)
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read: {error}", "Give a text file in UTF-8.") from error
    if "${PORT}" not in text:
        raise BadInput(
            f"{path} has no ${{PORT}}.",
            "Write ${PORT} where the proxy is to listen (and ${MODEL} for the model server), so "
            "that the lab can choose the port.",
        )
    return text


def has_two_models(path: Path) -> bool:
    """Whether a configuration asks a second model server; False for one that cannot be read, as others will tell."""
    try:
        return "${MODEL_2" in path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return False


def loopback_lines(path: Path) -> str:
    """The lines of a configuration that name a loopback address, by number; those with its port, if there are any."""
    numbered = [
        (number, line.strip())
        for number, line in enumerate(read_words(path).splitlines(), start=1)
        if _LOOPBACK.search(line) and not line.lstrip().startswith("#")
    ]
    listening = [(number, line) for number, line in numbered if "${PORT}" in line] or numbered
    return "\n".join(f"  {path}:{number}: {line}" for number, line in listening)


def companions(path: Path) -> list[Path]:
    """The other files in the folder of a configuration, which it may refer to.

    Raises:
        BadInput: they are so large that the folder is hardly the configuration's own.
    """
    files = sorted(each for each in path.parent.iterdir() if each.is_file() and each != path)
    size = sum(each.stat().st_size for each in files)
    if size > COMPANIONS_LIMIT:
        raise BadInput(
            f"The files beside {path} have {size / 2**20:.0f} MiB; the lab copies at most "
            f"{COMPANIONS_LIMIT // 2**20} MiB into a container.",
            "Keep the configuration in a folder of its own.",
        )
    return files
