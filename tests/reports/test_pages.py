from __future__ import annotations

import re
from dataclasses import replace

from markupsafe import Markup

from lab.reports import html_report
from lab.reports.pages import page_environment
from lab.results import Results

OVERRIDE = "\N{RIGHT-TO-LEFT OVERRIDE}"


def test_what_a_template_shows_is_escaped_and_printable() -> None:
    """Without a word in the template, which could forget it; the lines of a configuration stay lines."""
    template = page_environment("lab.reports").from_string("{{ words }}|{{ number }}|{{ ours }}")
    shown = template.render(words=f"a\n<b>{OVERRIDE}\x1b[31m\x9b", number=1.5, ours=Markup("<i>"))
    assert shown == "a\n&lt;b&gt;\ufffd\ufffd|1.5|<i>"


def test_no_word_on_the_page_can_hide_or_turn_another(results: Results) -> None:
    """A configuration that looks like the tested one and is another would be copied into production."""
    scenario = results.scenarios[1]
    proxy = scenario.proxies[1]
    nasty = f"{OVERRIDE}\x1b]0;x\x07\x9b"
    cases = tuple(
        replace(
            case,
            title=f"title {nasty}",
            config=f"{case.config}# {nasty}",
            config_name=nasty,
            log=(nasty,),
            problem=nasty,
        )
        for case in proxy.cases
    )
    changed = replace(
        scenario,
        title=f"title {nasty}",
        readme=f"{scenario.readme}\n\n`{nasty}` [{nasty}](https://h/{nasty})\n",
        sources=(f"https://h/{nasty}", nasty),
        proxies=(replace(proxy, cases=cases),),
    )
    page = html_report(replace(results, scenarios=(changed,), machine=nasty))
    assert re.findall("[\u202e\x1b\x07\x80-\x9f]", page) == []
