"""The ways in which the lab itself can fail, split by whose fault it is.

A proxy that breaks a stream is no error: it is a verdict. What stands here stops the lab, or one
scenario of it, and each error names the thing, the place and the remedy. The exit codes are part of
the public interface (`lab --help` prints them).
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the `lab` command tells its caller."""

    AS_REQUIRED = 0
    REQUIREMENT_FAILED = 1
    BAD_INPUT = 2
    NO_ENVIRONMENT = 3


class LabError(Exception):
    """Base of every error that the lab raises on purpose; never raised itself.

    Args:
        problem: what is wrong, naming the thing and the place (a file and a key, an image, a port).
        remedy: what the reader can do about it; may be empty where nothing can be done.
    """

    exit_code: ExitCode

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem}\n{self.remedy}" if self.remedy else self.problem


class BadInput(LabError):
    """A file, a name or an option that the user gave makes no sense."""

    exit_code = ExitCode.BAD_INPUT


class EnvironmentFault(LabError):
    """The machine lacks what the lab needs: an engine, an image, disk, a port."""

    exit_code = ExitCode.NO_ENVIRONMENT


class SetUpFault(LabError):
    """One proxy could not be put on the testbed: it refused its configuration or never answered.

    The outcome of the cases concerned is *set-up failed*; the other scenarios go on.
    """

    exit_code = ExitCode.BAD_INPUT


class Unavailable(EnvironmentFault):
    """One product at one version cannot be had on this machine.

    The outcome of the cases concerned is *skipped*, with this as the reason; the other scenarios go on.
    """
