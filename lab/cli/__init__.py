"""The command line.

Each command is a thin shell, in `commands`, `paths` or `own_files`: it reads names and options, calls what does the
work, and prints. The work of a command has a module of its own here, imported only when that command is run.
"""

from lab.cli import commands, own_files, paths
from lab.cli.shell import app, main

__all__ = ["app", "commands", "main", "own_files", "paths"]
