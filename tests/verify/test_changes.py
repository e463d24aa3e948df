"""Changes of a user's own files, together and written."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from lab.errors import BadInput
from lab.products import PRODUCTS
from lab.products.adapted import EntranceWish, Spot
from lab.products.envoy.document import mappings, parse
from lab.products.yaml_text import without_key
from lab.verify.changes import line_ends, replace_file, together
from lab.verify.template import template

BEFORE = "a\nb\nc\n"

FILES = Path(__file__).parent / "files"
OWN = (
    *(("nginx", FILES / name) for name in ("debian", "cache.conf", "modules.conf", "compose/conf.d/default.conf")),
    *(
        (name, path)
        for name in ("haproxy", "envoy", "caddy", "apache", "traefik")
        for path in sorted((FILES / name).iterdir())
    ),
)


@pytest.mark.parametrize(("product", "path"), OWN, ids=lambda value: value if isinstance(value, str) else value.name)
def test_a_line_goes_and_nothing_else(product: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every line of every file that may be left out; what stays is read as before, without it."""
    monkeypatch.setenv("MODEL_HOST", "model")
    monkeypatch.setenv("OLLAMA_HOST", "ollama")
    adapt = PRODUCTS[product].adapt
    assert adapt is not None
    adapter = adapt(path, EntranceWish())
    for spot in adapter.lines(adapter.entrances[0]):
        ((file, text),) = adapter.without(spot).items()
        gone = Counter(file.read_text().split())
        gone.subtract(text.split())
        # A mapping of YAML that had one key is an empty one then.
        assert {word for word, count in gone.items() if count < 0} <= {"{}"}
        assert gone[spot.text.split()[0]] == 1, spot
        # A value may go over several lines, of which the first has to be in what went.
        stood = file.read_text().splitlines()[spot.line - 1]
        assert sum(gone.values()) <= len(stood.split()) or not stood.rstrip().endswith((";", "}")), spot


def test_a_directive_goes_from_a_line_that_has_others(tmp_path: Path) -> None:
    """One by one, and one that goes over several lines as a whole."""
    path = tmp_path / "nginx.conf"
    path.write_text(
        "server { location / { gzip on; proxy_pass http://model:8000; } }\n"
        "server { server_name b; location / { proxy_set_header\n  A\n  b; proxy_pass http://model:8000; } }\n"
    )
    adapt = PRODUCTS["nginx"].adapt
    assert adapt is not None
    adapter = adapt(path, EntranceWish())
    gzip, header = (
        next(each for each in adapter.lines(adapter.entrances[0]) if each.text.startswith(name))
        for name in ("gzip", "proxy_set_header")
    )
    before = path.read_text()
    assert adapter.without(gzip) == {path: before.replace("gzip on;", "")}
    assert adapter.without(header) == {path: before.replace("proxy_set_header\n  A\n  b;", "")}


@pytest.mark.parametrize("style", [None, 1], ids=["on one line", "on many"])
def test_a_key_goes_from_json_which_stays_json(style: int | None) -> None:
    """The first, one amid others, the last, and an only one."""
    whole = {"a": 1, "b": {"c": [2, 3]}, "d": {"e": "f"}, "g": 4}
    document = parse(json.dumps(whole, indent=style), Path("envoy.json"))
    places = {key.value: mapping for mapping in mappings(document.top) for key, _ in mapping.value}
    for name in whole:
        rest = {each: value for each, value in whole.items() if each != name}
        assert json.loads(without_key(document.text, places[name], name)) == rest
    assert json.loads(without_key(document.text, places["e"], "e")) == {**whole, "d": {}}


def test_a_line_of_a_file_with_the_labs_names_goes(tmp_path: Path) -> None:
    """Of products whose files are not read as they are."""
    path = tmp_path / "any.conf"
    path.write_text("listen ${PORT}\nslow\nmodel ${MODEL}\n")
    own = template(path, EntranceWish())
    assert own.without(Spot(path, 2, "slow")) == {path: "listen ${PORT}\nmodel ${MODEL}\n"}


def test_changes_of_one_text_come_together() -> None:
    """Each where it belongs, and the same one once."""
    assert together(BEFORE, ["a\nx\nb\nc\n", "a\nb\nC\n", "a\nb\nC\n"]) == "a\nx\nb\nC\n"


@pytest.mark.parametrize(
    ("text", "ends"), [("a\r\nb\r\n", "\r\n"), ("a\r\nb", "\r\n"), ("a\nb\n", "\n"), ("a\r\nb\n", "\n"), ("a", "\n")]
)
def test_line_ends_are_those_of_windows_where_all_are(text: str, ends: str) -> None:
    """A file of which only some end so has them as part of its lines."""
    assert line_ends(text) == ends


def test_two_changes_of_one_line_are_refused() -> None:
    """Neither may get lost."""
    with pytest.raises(BadInput, match="one line"):
        together("a { } b { }\n", ["a { x } b { }\n", "a { } b { y }\n"])


def test_a_file_is_written_with_its_rights_and_kept_as_it_was(tmp_path: Path) -> None:
    """No earlier copy is written over, and no `include folder/*` takes one."""
    path = tmp_path / "site"
    path.write_text("one")
    path.chmod(0o640)
    first = replace_file(path, "two")
    second = replace_file(path, "three")
    assert [each.read_text() for each in (first, second, path)] == ["one", "two", "three"]
    assert {each.stat().st_mode & 0o777 for each in (first, second, path)} == {0o640}
    assert sorted(tmp_path.glob("*")) == sorted([path, first, second])
    assert all(each.name.startswith(".site.") for each in (first, second))


def test_what_a_link_leads_to_is_written(tmp_path: Path) -> None:
    """As `sites-enabled` has it: it stays a link."""
    real, link = tmp_path / "available", tmp_path / "enabled"
    real.write_text("one")
    link.symlink_to(real)
    backup = replace_file(link, "two")
    assert link.is_symlink()
    assert (real.read_text(), backup.read_text()) == ("two", "one")


def test_a_file_that_cannot_be_written_is_one_message(tmp_path: Path) -> None:
    """And nothing was changed."""
    with pytest.raises(BadInput, match="No such file"):
        replace_file(tmp_path / "nowhere" / "x", "two")
