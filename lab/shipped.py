"""Where the scenarios and the snippets lie: in the wheel, or beside the package in a checkout."""

from __future__ import annotations

from pathlib import Path


def shipped(name: str) -> Path:
    """The folder of that name that comes with the lab: `scenarios` or `nginx`."""
    inside = Path(__file__).parent / "shipped_files" / name
    return inside if inside.is_dir() else Path(__file__).parents[1] / name
