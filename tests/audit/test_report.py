"""The saved results and what is made of them: text for the terminal, and a page that needs nothing."""

from __future__ import annotations

import io
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from browser import Window, open_window
from rich.console import Console

from lab.audit.conclude.findings import conclude
from lab.audit.conclude.measured import measure
from lab.audit.report.page import audit_page
from lab.audit.report.rows import COLUMNS, exit_code, headline, rows
from lab.audit.report.text import print_audit
from lab.audit.results import FORMAT_VERSION, AuditResults, RouteResult, load, save
from lab.endpoint.samples import Route, Sample, Setting
from lab.errors import BadInput, ExitCode
from lab.evidence import Evidence, HttpVersion, Read, Trace, TransportEnd
from lab.wire import format_named
from lab.wire.events import FinishReason
from lab.wire.format import Reply

WIRE = format_named("openai-chat")
REPLY = Reply("r", "m")
NASTY = "<script>alert(1)</script>\x1b[31m"


def sample(route: str, times: list[float], *, marker: bool = True, coding: str = "") -> Sample:
    """A reply whose pieces of text came at these times."""
    body = [Read(at, WIRE.text(REPLY, f"word{NASTY} ")) for at in times]
    if marker:
        end = WIRE.finish(REPLY, FinishReason.STOP, len(times)) + WIRE.marker(REPLY)
        body.append(Read(times[-1] + 0.01, end))
    server = (("server", f"nginx/1.26.0 {NASTY}"),) if route == "path" else ()
    headers = (("content-type", "text/event-stream"), *server)
    trace = Trace(
        0.0, times[-1] + 0.02, TransportEnd.FRAMED, "", 200, "1.1", headers, 0.001, "chunked", tuple(body), tuple(body)
    )
    setting = Setting(Route(route, f"https://{route}/v1"), HttpVersion.HTTP_1_1, coding)
    return Sample(setting, Evidence(WIRE.name, True, trace))


STEADY = [0.05 * step for step in range(1, 60)]
AT_ONCE = [3.0] * 59


def results_of(samples: list[Sample], **more: object) -> AuditResults:
    """An audit that made these samples."""
    results = AuditResults(
        format_version=FORMAT_VERSION,
        lab_version="0",
        started="2026-11-24T10:00:00+00:00",
        wall_seconds=12.0,
        routes=tuple(RouteResult(route, f"https://{route}/v1") for route in ("path", "direct")),
        wire_format=WIRE.name,
        model="default",
        longest=600.0,
        requests=len(samples),
        planned=9,
        max_tokens=600,
        stopped="",
        remedy="",
        stopped_by=ExitCode.AS_REQUIRED,
        notes=(f"a note {NASTY}",),
        samples=tuple(measure(one, judged=True) for one in samples),
        conclusions=conclude(samples, longest=600.0) if samples else None,
    )
    return replace(results, **more)  # type: ignore[arg-type]


@pytest.fixture(name="held", scope="module")
def _held() -> AuditResults:
    return results_of([sample("path", AT_ONCE, marker=False)] * 3 + [sample("direct", STEADY)] * 3)


def text_of(results: AuditResults, width: int = 80) -> str:
    """What is printed."""
    out = io.StringIO()
    print_audit(results, Console(file=out, width=width), Path("audit.html"))
    return out.getvalue()


class TestSaved:
    def test_what_is_saved_is_read_back(self, held: AuditResults, tmp_path: Path) -> None:
        """Every report can be made again."""
        save(held, tmp_path / "audit.json")
        assert load(tmp_path / "audit.json") == held
        assert audit_page(load(tmp_path / "audit.json")) == audit_page(held)

    @pytest.mark.parametrize(
        ("raw", "told"),
        [
            (None, "No such file"),
            ("nonsense", "no JSON document"),
            ("[]", "no JSON document"),
            ('{"format_version": 99}', "format_version is 99"),
            (json.dumps({"format_version": FORMAT_VERSION, "routes": 1}), "audit.json: "),
        ],
    )
    def test_a_bad_file_is_named(self, tmp_path: Path, raw: str | None, told: str) -> None:
        """The message names the file, the place in it and the remedy."""
        if raw is not None:
            (tmp_path / "audit.json").write_text(raw)
        with pytest.raises(BadInput) as caught:
            load(tmp_path / "audit.json")
        assert told in caught.value.problem
        assert caught.value.remedy


class TestText:
    def test_the_verdict_comes_first(self, held: AuditResults) -> None:
        """A reader of one line knows the outcome."""
        assert text_of(held).splitlines()[0] == headline(held)
        assert headline(held).startswith("The path fails. Delivery: batched")
        assert "Endings: 3 silently-truncated." in headline(held)
        assert exit_code(held) is ExitCode.REQUIREMENT_FAILED

    def test_a_row_for_each_route_and_setting(self) -> None:
        """The audited route first, each row with all columns."""
        found = rows(
            results_of([sample("path", STEADY)] * 2 + [sample("path", STEADY, coding="gzip"), sample("direct", STEADY)])
        )
        assert [row.cells[:3] for row in found] == [
            ("path", "1.1", "none"),
            ("path", "1.1", "asked"),
            ("direct", "1.1", "none"),
        ]
        assert {len(row.cells) for row in found} == {len(COLUMNS)}
        assert found[0].cells[3:7] == ("0.05 s", "0.05 s", "0.05 s", "1")

    def test_failures_carry_their_remedy(self, held: AuditResults) -> None:
        """What to change, with the tested lines of the product that the headers name."""
        text = text_of(held, 200)
        assert "FAILURE: path (HTTP/1.1): " in text
        assert "proxy_buffering off" in text
        assert "nginx" in text

    @pytest.mark.parametrize("width", [60, 70, 80])
    def test_no_word_is_cut_on_a_narrow_terminal(self, held: AuditResults, width: int) -> None:
        """Where the table does not fit, each row is a paragraph of whole figures, and no line of it is too long."""
        figures = text_of(held, width).partition("FAILURE")[0].partition("\n\n")[2]
        for words in ("delivery: incremental", "delivery: batched", "silently truncated", "first token: 3.00 s"):
            assert words in figures
        assert max(map(len, figures.splitlines())) <= width

    def test_a_wide_terminal_shows_a_table(self, held: AuditResults) -> None:
        """A hundred and twenty columns hold a heading, and each row on one line of its own."""
        figures = text_of(held, 120).partition("FAILURE")[0].partition("\n\n")[2]
        lines = [line for line in figures.splitlines() if line]
        assert lines[0].split()[:3] == ["Route", "HTTP", "Coding"]
        assert [line.split()[0] for line in lines[1:]] == ["path", "direct"]

    def test_what_an_endpoint_says_cannot_move_the_cursor(self, held: AuditResults) -> None:
        """No control character of a foreign endpoint reaches the terminal."""
        assert "\x1b" not in text_of(held)

    def test_why_it_ended_early(self) -> None:
        """An audit without any answer says so, and its exit code is that of what ended it."""
        stopped = results_of(
            [], stopped="h: no reply within 9.0 s", remedy="Wait.", stopped_by=ExitCode.REQUIREMENT_FAILED
        )
        assert headline(stopped) == "The path fails. h: no reply within 9.0 s."
        assert "Ended early, after 0 of 9 requests" in text_of(stopped)
        assert exit_code(stopped) is ExitCode.REQUIREMENT_FAILED

    def test_unjudged_samples_are_counted_nowhere(self, held: AuditResults) -> None:
        """A rate limit's sample is drawn and says nothing about the path."""
        limited = replace(held.samples[0], judged=False)
        assert rows(replace(held, samples=(*held.samples, limited))) == rows(held)


class TestPage:
    def test_the_verdict_stands_above_the_endpoints_facts(self, held: AuditResults) -> None:
        """A person came for the verdict; what was asked follows all that came of it."""
        page = audit_page(held)
        places = [page.index(words) for words in ('id="verdict"', 'id="problems"', 'id="answers"', "<dt>Wire format")]
        assert places == sorted(places)

    def test_answers_that_are_alike_are_folded_behind_the_first(self, held: AuditResults) -> None:
        """Three of the path and three of the model's own address: two pictures, and four to be opened."""
        page = audit_page(held)
        assert page.count("<summary>2 more like it</summary>") == 2
        assert page.count('role="img"') == 6

    def test_what_only_the_models_own_address_would_tell_has_its_command(self) -> None:
        """Headers that come with a late first token, and nothing to compare them with."""
        made = sample("path", [3.0 + 0.05 * n for n in range(60)])
        trace = replace(made.evidence.trace, headers_at=3.0)
        late = results_of([replace(made, evidence=replace(made.evidence, trace=trace))] * 3)
        for said in (audit_page(late), text_of(late, 200)):
            assert "own address would tell: in every answer the headers came with the first token" in said
            assert "lab audit https://path/v1 --direct http://MODEL:PORT" in said

    def test_foreign_words_are_escaped(self, held: AuditResults) -> None:
        """Nothing that came from outside is markup."""
        page = audit_page(held)
        assert "<script" not in page
        assert "\x1b" not in page
        assert "&lt;script&gt;" in page

    def test_it_refers_to_nothing_outside(self, held: AuditResults) -> None:
        """No address is fetched: no source, no style sheet, no font."""
        assert not re.findall(r"(?:src|href)=\"(?!#|data:)", audit_page(held))
        assert "default-src 'none'" in audit_page(held)

    def test_a_timeline_for_each_sample(self, held: AuditResults) -> None:
        """Six answers, six pictures with words for those who do not see them."""
        assert audit_page(held).count('role="img"') == 6
        assert "59 pieces of text in 1 moment," in audit_page(held)

    def test_what_is_code_in_a_remedy_is_shown_as_code(self, held: AuditResults) -> None:
        """Prose is prose; between backticks it is code, and no backtick is left."""
        page = audit_page(held)
        assert "<code>proxy_buffering off;</code>" in page
        assert "`" not in page.partition("</style>")[2]

    def test_an_audit_without_answers_has_a_page(self) -> None:
        """What ended it stands there."""
        assert "no reply within" in audit_page(results_of([], stopped="h: no reply within 9.0 s"))


@pytest.mark.browser
class TestInABrowser:
    @pytest_asyncio.fixture(name="window", params=[360, 1200])
    async def _window(
        self, held: AuditResults, tmp_path: Path, request: pytest.FixtureRequest
    ) -> AsyncIterator[Window]:
        path = tmp_path / "audit.html"
        path.write_text(audit_page(held))
        async with open_window(path.as_uri(), viewport={"width": request.param, "height": 800}) as window:
            yield window

    async def test_it_is_quiet_and_fits(self, window: Window) -> None:
        """Nothing on the console, nothing fetched, and no sideways scrolling on a phone or a desk."""
        await window.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        assert await window.fits()
        assert window.complaints == []
        assert window.strangers == []
