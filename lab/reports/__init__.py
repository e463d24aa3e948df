"""Reports: pure functions of `lab.results.Results`; nothing here ever talks to a container.

`write_reports` puts the files for browsers and CI servers into a folder, `print_results` ends a run in the
terminal, and `describe_case` is what a failed pytest item says. All of them can be made again from a saved
`results.json`. `case_id` is the one name of a case: test id, JUnit name and anchor in the page.

What belongs here: words, numbers and pictures. What belongs below (`lab.judge`): every decision about
whether a requirement was met.
"""

from __future__ import annotations

from pathlib import Path

from lab.files import write_whole
from lab.reports.html import html_report
from lab.reports.junit import junit_xml
from lab.reports.phrases import case_id, proxy_id
from lab.reports.terminal import describe_case, print_results
from lab.results import Results

__all__ = [
    "case_id",
    "describe_case",
    "html_report",
    "junit_xml",
    "print_results",
    "proxy_id",
    "write_reports",
]

_WRITERS = {"html": ("report.html", html_report), "junit": ("junit.xml", junit_xml)}


def write_reports(results: Results, folder: Path) -> dict[str, Path]:
    """Write `report.html` and `junit.xml`, replacing older ones, and return their paths as `html` and `junit`.

    The folder is made if it is missing. `results.json` is the run's to write, not ours.

    Raises:
        OSError: the folder cannot be made or written to; what could not be replaced stays as it was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = {kind: folder / name for kind, (name, _) in _WRITERS.items()}
    for kind, (_, write) in _WRITERS.items():
        write_whole(paths[kind], write(results))
    return paths
