"""What several commands read from their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lab.durations import parse_duration
from lab.errors import BadInput
from lab.vocabulary import RunnerName

FORMATS = (
    "anthropic-messages, ndjson, ollama-chat, ollama-generate, openai-chat, openai-completions, openai-responses, sse"
)
"""The names of `lab.wire`, which `--help` is not to import."""

Runner = Annotated[
    RunnerName, typer.Option(help="Containers, or processes of this machine's binaries; auto takes what there is.")
]
Binaries = Annotated[
    list[Path] | None,
    typer.Option("--binary", metavar="PATH", help="Only this binary, as a process, at the version that it prints."),
]


def duration(option: str, text: str) -> float | None:
    """The seconds in an option's text; None where it is empty.

    Args:
        option: its name, for the message.
        text: as in `90s`.

    Raises:
        BadInput: it is no duration.
    """
    try:
        return parse_duration(text) if text else None
    except ValueError as error:
        raise BadInput(f"{option}: {error}", "Write it like 90s or 10m.") from None
