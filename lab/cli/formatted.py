"""What `lab verify` and `lab check` found, in the format that a pipeline asked for."""

from __future__ import annotations

import os
from collections.abc import Container, Sequence
from pathlib import Path

from rich.console import Console

from lab.errors import BadInput, EnvironmentFault
from lab.verify.formats import FORMATS, Entry, summary

TEXT = "text"
"""The format for people."""

SUMMARY = "GITHUB_STEP_SUMMARY"
"""The variable in which GitHub's runner names the file for what it shows on the page of a run."""


def format_called(name: str, without: Container[str] = ()) -> str:
    """The same name, if a format of a command's is called so.

    Args:
        name: as `--format` has it.
        without: formats that the command does not have.

    Raises:
        BadInput: none is.
    """
    names = [TEXT, *(each for each in FORMATS if each not in without)]
    if name not in names:
        raise BadInput(f"--format {name}: there is no such format.", f"Choose from {', '.join(names)}.")
    return name


def hand_on(entries: Sequence[Entry], name: str, out: Console) -> None:
    """Print the entries in a format; for GitHub also the summary, where its runner wants one.

    Raises:
        EnvironmentFault: the summary cannot be written.
    """
    here = Path.cwd()
    out.print(FORMATS[name](entries, here), markup=False, highlight=False, soft_wrap=True)
    if name == "github" and (path := os.environ.get(SUMMARY)):
        try:
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(summary(entries, here))
        except OSError as error:
            raise EnvironmentFault(f"{path}: {error.strerror}", f"{SUMMARY} names a file to write to.") from error
