"""What ships is whole: scenarios, snippets, and the documents that speak of them."""

from __future__ import annotations

import ast
import re
import shlex
from collections import Counter
from pathlib import Path

import pytest
import typer
from hops import HOPS

import lab
from lab.catalogue import Scenario, discover, shipped_scenarios
from lab.catalogue.schema import Closed
from lab.cli import app
from lab.judge import REQUIREMENTS
from lab.products import PRODUCTS
from lab.shipped import shipped
from lab.vocabulary import Group, Variant

ROOT = Path(__file__).parents[1]
SCENARIOS = discover(shipped_scenarios())
SUFFIXES = {product.suffix for product in PRODUCTS.values()}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.id)
class TestScenario:
    def test_tells_its_story(self, scenario: Scenario) -> None:
        """A title, and more than a note."""
        lines = scenario.readme.splitlines()
        assert lines[0].startswith("# ")
        assert len(lines) >= 20

    def test_links_to_scenarios_that_exist(self, scenario: Scenario) -> None:
        """A story that sends its reader on must send them somewhere."""
        for target in re.findall(r"\]\((\.[^)#]*)\)", scenario.readme):
            assert (scenario.folder / target).exists(), target

    def test_breaks_and_mends_at_least_one_proxy(self, scenario: Scenario) -> None:
        """A scenario without either proves nothing."""
        cases = {case.variant for case in scenario.cases}
        assert {Variant.BROKEN, Variant.FIXED} <= cases

    def test_speaks_of_every_product(self, scenario: Scenario) -> None:
        """Each product fails, or is shown to be not affected, or the story says why the failure cannot be there."""
        shown = {case.proxy.product.name for case in scenario.cases}
        hops = {proxy.product.name for proxy in HOPS.values()}
        missing = [name for name in hops - shown if name not in scenario.readme.lower()]
        assert missing == [], "give each a folder there, or say in the story why the failure cannot be there"

    def test_has_no_configuration_that_nobody_runs(self, scenario: Scenario) -> None:
        """A file that is never put before a proxy is a claim without a measurement."""
        used = {case.config for case in scenario.cases if case.config.is_relative_to(scenario.folder)}
        there = {path for path in scenario.folder.glob("*/*") if path.suffix in SUFFIXES}
        # One may read another one, which stands beside it.
        named = {each.with_name(name) for each in used for name in re.findall(r"\./([\w.-]+)", each.read_text())}
        assert there == used | (named & there)


def test_no_case_of_caddys_rests_on_chance() -> None:
    """Without that line Caddy cuts a stream now and then, whatever a scenario is about; see scenarios/recommended."""
    cases = [case for scenario in SCENARIOS for case in scenario.cases if case.proxy.product.name == "caddy"]
    assert cases
    assert [case.id for case in cases if "enable_full_duplex" not in case.config.read_text()] == []


def test_every_requirement_is_broken_and_met_somewhere() -> None:
    """A requirement without a scenario is a promise that nobody checks."""
    used = {each for s in SCENARIOS for case in s.cases for made in case.exchanges for each in made.requirements}
    assert used == set(REQUIREMENTS)


def test_every_group_has_a_scenario() -> None:
    """The report has a heading for each."""
    assert {scenario.group for scenario in SCENARIOS} == set(Group)


def test_every_snippet_is_what_some_fixed_side_includes() -> None:
    """The file that users copy is the file that was tested; `tests/test_ablation.py` runs those of `proof`."""
    fixed = [s.config.read_text() for each in SCENARIOS for s in each.cases if s.variant is Variant.FIXED]
    fixed += [path.read_text() for path in (shipped("nginx") / "proof").glob("*.conf")]
    for snippet in shipped("nginx").glob("*.conf"):
        assert any(f"include /etc/nginx/snippets/{snippet.name};" in text for text in fixed), snippet.name


def test_every_directive_of_a_snippet_says_why_and_its_default() -> None:
    """Whoever copies a line must be able to read what it does."""
    for snippet in shipped("nginx").glob("*.conf"):
        for block in re.split(r"\n\n+", snippet.read_text()):
            if not block.startswith("#") or block.rstrip().endswith(";"):
                directive = block.rstrip().splitlines()[-1]
                assert "# Default:" in block, directive


def test_contributing_names_every_key() -> None:
    """The keys of a scenario are a closed set; the document lists them all."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    keys = {name for table in Closed.__subclasses__() for name in table.model_fields}
    assert {key for key in keys if f"`{key}`" not in text and f"[{key}" not in text} == set()


README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [
    README,
    ROOT / "CONTRIBUTING.md",
    ROOT / "nginx" / "README.md",
    *DOCS,
    *sorted((ROOT / "scenarios").glob("*/README.md")),
]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
COMMANDS = typer.main.get_command(app)


def _id(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_every_command_is_named() -> None:
    """A command that nobody hears of is not there."""
    text = "".join(page.read_text() for page in [README, *DOCS])
    names = [command.name or command.callback.__name__ for command in app.registered_commands if command.callback]
    assert [name for name in names if f"lab {name}" not in text] == []


def test_every_environment_variable_is_among_the_settings() -> None:
    """Each has one place where a user finds it."""
    text = (ROOT / "docs" / "settings.md").read_text()
    used = {name for path in (ROOT / "lab").rglob("*.py") for name in re.findall(r"\bLAB_[A-Z_]+", path.read_text())}
    assert {name for name in used if name not in text} == set()


def test_readme_is_short() -> None:
    """Whoever has a problem finds the way from it; everything else stands in docs."""
    assert len(README.read_text().splitlines()) <= 160


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_links_lead_somewhere(page: Path) -> None:
    """A link to a file that is gone, or to a heading that has another name now, leads nowhere."""
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCED.sub("", page.read_text())):
        path, _, anchor = target.partition("#")
        if not re.match(r"[a-z]+:", target):
            file = page.parent / path if path else page
            assert file.exists(), target
            assert not anchor or anchor in _anchors(file), target


def _anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub makes anchors of them."""
    headings = re.findall(r"^#+ (.*)", FENCED.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [README, ROOT / "CONTRIBUTING.md", *DOCS], ids=_id)
def test_commands_are_commands(page: Path) -> None:
    """Each line of a block that calls the lab has a command and options that there are; none is run."""
    blocks = "".join(block for kind, block in FENCED.findall(page.read_text()) if kind in ("", "sh"))
    indented = re.findall(r"^    (.*)$", FENCED.sub("", page.read_text()), re.MULTILINE)
    for line in [*indented, *blocks.splitlines()]:
        call = re.match(r"(?:LAB_\w+=\S+ )*(?:\.venv/bin/)?lab (.*)", line.strip())
        if call:
            COMMANDS.make_context("lab", shlex.split(call[1], comments=True))
            name, *options = shlex.split(call[1], comments=True)
            command = COMMANDS.get_command(typer.Context(COMMANDS), name)
            assert command is not None, line
            command.make_context(name, options)


def test_a_class_name_has_one_definition() -> None:
    """Two things of one name in one package are one too many for whoever reads it."""
    package = Path(lab.__file__).parent
    names = Counter(
        node.name
        for file in package.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, times in names.items() if times > 1] == []
