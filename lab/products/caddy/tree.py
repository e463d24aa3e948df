"""Caddyfiles as a tree of lines, each with what its braces hold; snippets and included files are put in place.

The rules of words, quotes, braces and imports are those of Caddy's documentation, "Caddyfile concepts" and `import`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lab.errors import BadInput
from lab.files import read_whole
from lab.products.adapted import Replacement, Spot, ends_of
from lab.products.values import values_for

MOST_BYTES = 2**20
"""Of one file; nobody writes a larger one by hand."""

_DEEPEST = 20
"""Imports within one another, before it is a loop."""

_WORD = re.compile(
    r"""
    (?P<heredoc> <<(?P<mark>[A-Za-z0-9_-]+)\n.*?\n[ \t]*(?P=mark)(?!\S) )
    | (?P<quoted> "(?:\\.|[^"\\])*" | `[^`]*` )
    | (?P<comment> \#[^\n]* )
    | (?P<joined> \\\n )
    | (?P<end> \n )
    | (?P<blank> [ \t\r]+ )
    | (?P<plain> \S+ )
    """,
    re.VERBOSE | re.DOTALL,
)
_VALUE = re.compile(r"\{\$([A-Za-z_][A-Za-z0-9_]*)(?::([^}]*))?\}")
_ARGUMENT = re.compile(r"\{args(?:\[(\d*)(:?)(\d*)\]|\.(\d+))\}")


@dataclass
class CaddyLine:
    """One line of a Caddyfile: a directive, an address, an option.

    Args:
        tokens: its words as they are written, without a brace.
        file: where it stands.
        line: its number, from 1; 0 for one that the lab put in.
        end: of its last word: the number of its line, and the column behind it.
        block: what its braces hold; None where it has none.
        last: the number of the line where it ends, with its braces.
        parent: what it stands in.
    """

    tokens: list[str]
    file: Path
    line: int = 0
    end: tuple[int, int] = (0, 0)
    block: list[CaddyLine] | None = None
    last: int = 0
    parent: CaddyLine | None = field(default=None, repr=False)

    @property
    def words(self) -> list[str]:
        """Its words, without quotes."""
        return [_plain(each) for each in self.tokens]

    @property
    def name(self) -> str:
        """Its first word; empty where it has none."""
        return self.word(0)

    def word(self, number: int) -> str:
        """One of its words, counted from 0; empty where it has fewer."""
        return _plain(self.tokens[number]) if number < len(self.tokens) else ""

    @property
    def spot(self) -> Spot:
        """Where it stands."""
        text = " ".join(" ".join(self.tokens).split())
        return Spot(self.file, self.line, text if self.block is None else f"{text} {{".strip())

    def own(self, *names: str) -> list[CaddyLine]:
        """The lines of these names that stand in its braces themselves."""
        return [each for each in self.block or () if each.name in names]

    def below(self, *names: str) -> Iterator[CaddyLine]:
        """Those in its braces at any depth; all if no name is given."""
        for each in [*(self.block or ())]:
            if not names or each.name in names:
                yield each
            yield from each.below(*names)

    def upward(self) -> Iterator[CaddyLine]:
        """It, what it stands in, and so on."""
        here: CaddyLine | None = self
        while here is not None:
            yield here
            here = here.parent

    def add(self, *tokens: str, first: bool = False) -> CaddyLine:
        """Put another line into its braces."""
        added = CaddyLine(list(tokens), self.file, parent=self)
        self.block = [added, *(self.block or [])] if first else [*(self.block or []), added]
        return added

    def out(self) -> None:
        """Take it out of what it stands in."""
        if self.parent is not None and self.parent.block is not None:
            self.parent.block = [each for each in self.parent.block if each is not self]

    def write(self, depth: int = 0) -> Iterator[str]:
        """It as Caddy reads it, line by line."""
        indent = "\t" * depth
        text = indent + " ".join(self.tokens)
        if self.block is None:
            yield text
            return
        yield f"{text} {{" if self.tokens else f"{indent}{{"
        for each in self.block:
            yield from each.write(depth + 1)
        yield f"{indent}}}"


def _plain(token: str) -> str:
    if token.startswith("<<"):
        return "\n".join(token.split("\n")[1:-1])
    if token.startswith('"') and token.endswith('"') and len(token) > 1:
        return token[1:-1].replace('\\"', '"')
    return token[1:-1] if token.startswith("`") and token.endswith("`") and len(token) > 1 else token


@dataclass
class Caddyfile:
    """A whole configuration.

    Args:
        top: holds the global options, whose line has no words, and the sites.
        replaced: imports that no file was found for, and names of the environment with their values.
        texts: the text of each file that was read.
    """

    top: CaddyLine
    replaced: Sequence[Replacement]
    texts: Mapping[Path, str]

    @property
    def sites(self) -> list[CaddyLine]:
        """Every site, by its line of addresses."""
        return [each for each in self.top.block or () if each.tokens]

    @property
    def options(self) -> CaddyLine | None:
        """The global options; None where there are none."""
        return next((each for each in self.top.block or () if not each.tokens), None)


def read_caddyfile(path: Path, texts: Mapping[Path, str] | None = None) -> Caddyfile:
    """Read a file, or `Caddyfile` of a folder, with all that it imports.

    Args:
        path: of the file or folder.
        texts: of files that are to be read otherwise than they are.

    Raises:
        BadInput: it cannot be read, or is no Caddyfile; names file and line.
    """
    main = (path / "Caddyfile" if path.is_dir() else path).absolute()
    reading = _Imports(main.parent, values_for(main.parent), dict(texts or {}))
    top = CaddyLine([], main, block=[])
    lines = reading.parsed(main)
    sited = [each for each in lines if not (each.block is not None and not each.tokens)]
    if sited and sited[0].block is None and sited[0].name != "import":
        # A file of one site needs no braces.
        sited[0].block = sited[1:]
        lines = [*(each for each in lines if each not in sited), sited[0]]
    for each in lines:
        if each.block is not None and re.fullmatch(r"\(.+\)", each.name):
            reading.snippets[each.name[1:-1]] = each
    top.block = [one for each in lines for one in reading.put(each, top, 0)]
    top.block = [each for each in top.block if not re.fullmatch(r"&?\(.+\)", each.name)]
    return Caddyfile(top, reading.replaced, reading.texts)


@dataclass
class _Imports:
    """Puts imports in place, and the values of names.

    Args:
        root: the folder of the main file.
        values: of names of the environment.
        texts: of files, those that were read too.
        snippets: by their names.
        replaced: what is not as the files have it.
    """

    root: Path
    values: Mapping[str, str]
    texts: dict[Path, str]
    snippets: dict[str, CaddyLine] = field(default_factory=dict)
    replaced: list[Replacement] = field(default_factory=list)

    def parsed(self, file: Path) -> list[CaddyLine]:
        """The lines of a file."""
        if file not in self.texts:
            try:
                self.texts[file] = read_whole(file, MOST_BYTES).decode()
            except OSError as error:
                raise BadInput(f"{file}: {error.strerror or error}", "Give a file that can be read.") from error
            except UnicodeDecodeError as error:
                raise BadInput(f"{file} is no text in UTF-8.", "Give a Caddyfile.") from error
        return parse(self.texts[file], file)

    def put(self, line: CaddyLine, parent: CaddyLine, depth: int) -> Iterator[CaddyLine]:
        """A line with what it imports."""
        if depth > _DEEPEST:
            raise BadInput(f"{line.spot.file}:{line.line} imports itself, by whatever way.", "Take the import out.")
        made = replace(line, tokens=[self._value(each, line) for each in line.tokens], parent=parent)
        if made.name == "import":
            yield from self._imported(made, parent, depth)
            return
        if line.block is not None:
            made.block = []
            made.block = [one for each in line.block for one in self.put(each, made, depth)]
        yield made

    def _imported(self, line: CaddyLine, parent: CaddyLine, depth: int) -> Iterator[CaddyLine]:
        snippet = self.snippets.get(line.word(1))
        if snippet is not None:
            lines = [_with_arguments(each, line.tokens[2:]) for each in _with_block(snippet, line.block or ())]
        else:
            files = self._files(line.word(1), line.file)
            if not files and "*" not in line.word(1):
                self.replaced.append(Replacement(line.spot, "", "no such file or snippet is here"))
            lines = [_with_arguments(each, line.tokens[2:]) for file in files for each in self.parsed(file)]
            for each in lines:
                if each.block is not None and re.fullmatch(r"\(.+\)", each.name):
                    self.snippets[each.name[1:-1]] = each
        for each in lines:
            yield from self.put(each, parent, depth + 1)

    def _files(self, pattern: str, file: Path) -> list[Path]:
        """The files of an import: as it is written, or below the main file's folder by ever less of its path."""
        places = [] if Path(pattern).is_absolute() else [file.parent / pattern]
        places += [folder / end for folder in (self.root, self.root.parent) for end in ends_of(pattern)]
        places += [Path(pattern)] if Path(pattern).is_absolute() else []
        for place in places:
            found = sorted(Path(place.anchor).glob(str(place.relative_to(place.anchor))))
            found = [each for each in found if each.is_file() and not each.name.startswith(".") and each != file]
            if found:
                return found
        return []

    def _value(self, token: str, line: CaddyLine) -> str:
        """A word with the values of names; one that has none stays as it is."""

        def value(found: re.Match[str]) -> str:
            return self.values.get(found[1], found[0] if found[2] is None else found[2])

        now = _VALUE.sub(value, token)
        if now != token:
            self.replaced.append(Replacement(line.spot, "with its value", "a name of the environment"))
        return now


def _with_block(line: CaddyLine, given: Sequence[CaddyLine]) -> Iterator[CaddyLine]:
    """What stands in a snippet, with what its import has between braces in the place of `{block}` and its like."""
    for each in line.block or ():
        found = re.fullmatch(r"\{(?:block|blocks\.(.+))\}", each.name)
        if found is not None and each.block is None:
            named = [one for one in given if one.name == found[1]]
            yield from given if found[1] is None else (inner for one in named for inner in one.block or ())
        elif each.block is not None:
            yield replace(each, block=[*_with_block(each, given)])
        else:
            yield each


def _with_arguments(line: CaddyLine, arguments: Sequence[str]) -> CaddyLine:
    """A line of a snippet with what its import gives it."""
    tokens: list[str] = []
    for token in line.tokens:
        whole = _ARGUMENT.fullmatch(token)
        if whole is not None:
            first = int(whole[1] or whole[4] or 0)
            last = first + 1 if not whole[2] else int(whole[3]) if whole[3] else None
            tokens += arguments[first:last]
        else:
            tokens.append(_ARGUMENT.sub(lambda found: _argument(arguments, found[1] or found[4] or "0"), token))
    block = None if line.block is None else [_with_arguments(each, arguments) for each in line.block]
    return replace(line, tokens=tokens, block=block)


def _argument(arguments: Sequence[str], number: str) -> str:
    return _plain(arguments[int(number)]) if int(number) < len(arguments) else ""


def parse(text: str, file: Path) -> list[CaddyLine]:
    """The lines of a text, without what they import.

    Raises:
        BadInput: its braces do not match; names file and line.
    """
    top = CaddyLine([], file, block=[])
    here, current = top, CaddyLine([], file)
    for token, line, column in _tokens(text):
        if token == "\n":
            # Addresses go on behind a comma.
            if current.tokens and not (here is top and current.tokens[-1].endswith(",")):
                current.last = current.end[0]
                _append(here, current)
                current = CaddyLine([], file)
        elif token == "{":
            current.line, current.end = current.line or line, current.end if current.tokens else (line, column)
            current.block = []
            _append(here, current)
            here, current = current, CaddyLine([], file)
        elif token == "}" and not current.tokens:
            if here.parent is None:
                raise BadInput(f"{file}:{line}: no brace is open that could be closed.", "Correct it.")
            here.last, here = line, here.parent
        else:
            current.tokens.append(token)
            current.line = current.line or line
            current.end = (line + token.count("\n"), column + len(token))
    if here is not top:
        raise BadInput(f"{file}:{here.line}: its brace is not closed.", "Correct it.")
    return top.block or []


def _append(parent: CaddyLine, line: CaddyLine) -> None:
    line.parent = parent
    parent.block = [*(parent.block or []), line]


def _tokens(text: str) -> Iterator[tuple[str, int, int]]:
    """Each word, brace and end of a line, with the number of its line and its column."""
    line, start = 1, 0
    for found in _WORD.finditer(text.rstrip("\n") + "\n"):
        token, kind = found[0], found.lastgroup
        if kind not in ("blank", "comment", "joined"):
            yield token, line, found.start() - start
        if "\n" in token:
            line += token.count("\n")
            start = found.start() + token.rindex("\n") + 1
