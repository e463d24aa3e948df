"""What the names of a template stand for where a user's file is one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def values_for(folder: Path) -> Mapping[str, str]:
    """Values of a template's names: those of the environment, and before them those of `.env` in a folder."""
    try:
        lines = (folder / ".env").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        lines = []
    pairs = [line.removeprefix("export ").partition("=") for line in lines if not line.lstrip().startswith("#")]
    return {**os.environ, **{name.strip(): value.strip().strip("'\"") for name, equals, value in pairs if equals}}
