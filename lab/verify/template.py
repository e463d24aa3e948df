"""A configuration that says itself where the lab's names go: `${PORT}` and `${MODEL}`, as those of the scenarios do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.errors import BadInput
from lab.files import read_words
from lab.products import speaks_tls
from lab.products.adapted import Entrance, EntranceWish, Replacement, Spot, lines_out

PATH = "/v1/chat/completions"
"""What is asked for where the user says nothing."""


_STAYS = re.compile(r"^[#<]|\$\{|[{}]$")
"""Comments, the names that the lab fills in, and what opens or closes a block."""


@dataclass(frozen=True)
class Template:
    """An `Adapter` of a file that needs none: see `lab.products.adapted`."""

    path: Path
    text: str
    entrances: Sequence[Entrance]
    tunable: bool = False
    passed_over: Sequence[Spot] = ()

    def copy(self, entrance: Entrance, settings: Sequence[str] = (), without: Sequence[Spot] = ()) -> str:
        """See `Adapter`; no setting can be put into it."""
        left_out = {spot.line for spot in without}
        numbered = enumerate(self.text.splitlines(keepends=True), start=1)
        return "".join(line for number, line in numbered if number not in left_out)

    def lines(self, _: Entrance) -> Sequence[Spot]:
        """See `Adapter`: no comments, no line of braces, and none that says where to listen or whom to ask."""
        numbered = enumerate(self.text.splitlines(), start=1)
        spots = [Spot(self.path, number, line.strip()) for number, line in numbered]
        return [each for each in spots if each.text and not _STAYS.search(each.text)]

    def replacements(self, _: Entrance) -> Sequence[Replacement]:
        """See `Adapter`."""
        return ()

    def leave_out(self, _: str) -> bool:
        """See `Adapter`."""
        return False

    def locate(self, words: str, entrance: Entrance, copy: Path) -> str:
        """See `Adapter`; the copy has the same lines."""
        return words.replace(str(copy), str(entrance.spot.file))

    def edit(self, *_: object) -> Mapping[Path, str]:
        """See `Adapter`."""
        return {}

    def without(self, spot: Spot) -> Mapping[Path, str]:
        """See `Adapter`."""
        return {self.path: lines_out(self.text, spot.line, spot.line)}

    def spot_of(self, *_: object) -> Spot | None:
        """See `Adapter`."""
        return None


def template(path: Path, wish: EntranceWish) -> Template:
    """Read a configuration with the lab's names in it.

    Raises:
        BadInput: it cannot be read, or lacks them.
    """
    try:
        text = read_words(path)
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror or error}", "Give a text file in UTF-8.") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is no text in UTF-8.", "Give the product's configuration.") from error
    if "${PORT}" not in text:
        remedy = "Write ${PORT} where it listens and ${MODEL} or ${MODEL_HOST} and ${MODEL_PORT} for the model."
        raise BadInput(f"{path}: files of that product are not read as they are yet.", remedy)
    secure = speaks_tls(path)
    spot = Spot(path, 1, text.partition("\n")[0])
    return Template(path, text, [Entrance(path.name, wish.path or PATH, wish.host, secure, spot, http_2=secure)])
