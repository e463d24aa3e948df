"""The command `lab`, also as `python -m lab`.

Signals are listened to before anything else is imported, which takes longest: broken off in the middle of an import,
Python says so at length.
"""

from __future__ import annotations

import sys

from lab.signals import STOP


def run() -> int:
    """Run the command line of this process; returns the exit code."""
    STOP.listen()
    from lab.cli import main

    return main()


if __name__ == "__main__":
    sys.exit(run())
