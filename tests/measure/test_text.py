"""The report's words and its histogram, on findings that are written down."""

from __future__ import annotations

from lab.audit.report.active_text import Bin, change_words, deaths_words, histogram, reply_words
from lab.measure.findings import Holds, ModeFound, Termination, TerminationKind
from lab.suite.exchange import Mode
from lab.vocabulary import Delivery, Ending, Watched


def death(kind: TerminationKind, waited: float) -> Termination:
    """One stream that died after so many seconds of waiting."""
    return Termination("x", Watched.IDLE, waited, waited, waited, kind, Ending.CUT)


DEATHS = (
    *(death(TerminationKind.TIMEOUT, at) for at in (60.0, 60.01, 60.3)),
    death(TerminationKind.FAULT, 17.2),
    death(TerminationKind.UNKNOWN, 41.0),
)


def test_deaths_are_counted_by_what_they_are_taken_for() -> None:
    """Those that agree are a timeout's, the scattered ones faults; without any it says so too."""
    assert deaths_words(DEATHS) == (
        "5 streams of the search died on the path: 3 of a timeout, 1 scattered, of faults, 1 not told"
    )
    assert deaths_words(()) == "no stream of the search that could be counted died on the path"


def test_the_histogram_has_a_bar_for_each_time_with_what_its_deaths_are() -> None:
    """Up to 60 s in steps of 5 s: three on 60 s, one each on 15 s and 40 s."""
    assert histogram(()) == []
    assert histogram(DEATHS) == [
        Bin(15.0, 1, 1 / 3, "1 scattered, of faults"),
        Bin(40.0, 1, 1 / 3, "1 not told"),
        Bin(60.0, 3, 1.0, "3 of a timeout"),
    ]


def setting(name: Mode, changes: Holds, version: str = "1.1", coding: str = "") -> ModeFound:
    """One way of asking."""
    return ModeFound(name, Delivery.INCREMENTAL, Ending.COMPLETE, version, coding, changes, "as it is", "evidence")


def test_what_a_way_of_asking_changes_begins_with_the_answer() -> None:
    """A change is told as it is; none and no answer are said to be that."""
    assert change_words(setting(Mode.GZIP, Holds.YES)) == "as it is"
    assert change_words(setting(Mode.GZIP, Holds.NO)) == "nothing: as it is"
    assert change_words(setting(Mode.GZIP, Holds.UNKNOWN)) == "cannot tell: as it is"
    assert change_words(setting(Mode.PLAIN, Holds.UNKNOWN)) == "as it is"


def test_version_and_coding_of_a_reply() -> None:
    """What the reply came with, and that none came."""
    assert reply_words(setting(Mode.GZIP, Holds.NO, coding="gzip")) == "HTTP/1.1, gzip"
    assert reply_words(setting(Mode.HTTP_2, Holds.NO, version="2")) == "HTTP/2"
    assert reply_words(setting(Mode.HTTP_2, Holds.NO, version="")) == "no reply"
