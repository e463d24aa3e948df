"""Apache's configuration files as a tree of lines, each with what its section holds; included files are put in place.

The rules of words, sections, variables and includes are those of Apache's documentation, "Configuration Files" and
`core`. Sections such as `<IfModule>` stay in the tree, and whether they hold is told while they are read, as Apache
does it: what a `LoadModule` or a `Define` before them says counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lab.errors import BadInput
from lab.files import read_whole
from lab.products.adapted import Replacement, Spot, ends_of
from lab.products.apache.modules import BUILT_IN, FOR_A_PART, module_name
from lab.products.values import values_for

MOST_BYTES = 2**20
"""Of one file; nobody writes a larger one by hand."""

MOST_FILES = 2000
"""That are read, one that is included twice counting as two."""

_DEEPEST = 20
"""Files that include one another, before it is a loop."""

_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|\S+')
_VALUE = re.compile(r"\$\{([A-Za-z_]\w*)\}")
_LABS = frozenset({"PORT", "MODEL", "MODEL_HOST", "MODEL_PORT", "CERTIFICATE"})
"""Names that the lab gives values to, in files that have them."""

_CONDITIONS = frozenset({"ifmodule", "ifdefine", "ifversion", "iffile", "ifdirective", "ifsection"})


def plain(token: str) -> str:
    """A word without its quotes."""
    if len(token) > 1 and token[0] == token[-1] and token[0] in "\"'":
        return re.sub(r"\\([\\\"'])", r"\1", token[1:-1])
    return token


@dataclass(eq=False)
class ApacheLine:
    """One directive, or one section with what it holds.

    Args:
        text: its line, without indentation, continued lines put together and variables with their values.
        written: the same as it stands in the file.
        file: where it stands.
        line: the number of its first line, from 1; 0 for one that the lab put in.
        last: of its last line, without what it holds.
        indent: the white space that it begins with.
        block: what the section holds; None where it is none.
        holds: of a condition such as `<IfModule>`, whether what stands in it counts.
        parent: what it stands in.
    """

    text: str
    written: str
    file: Path
    line: int = 0
    last: int = 0
    indent: str = ""
    block: list[ApacheLine] | None = None
    holds: bool = True
    parent: ApacheLine | None = field(default=None, repr=False)

    @property
    def tokens(self) -> list[str]:
        """Its words as they are written, without angle brackets."""
        text = self.text[1:].removesuffix(">") if self.block is not None else self.text
        return _TOKEN.findall(text)

    @property
    def words(self) -> list[str]:
        """Its words, without quotes."""
        return [plain(each) for each in self.tokens]

    @property
    def name(self) -> str:
        """Its first word in small letters: Apache does not tell them apart."""
        return self.word(0).lower()

    def word(self, number: int) -> str:
        """One of its words, counted from 0; empty where it has fewer."""
        words = self.words
        return words[number] if number < len(words) else ""

    @property
    def spot(self) -> Spot:
        """Where it stands."""
        return Spot(self.file, self.line, " ".join(self.written.split()))

    @property
    def is_condition(self) -> bool:
        """Whether what it holds counts under a condition only, and in the place of the condition."""
        return self.block is not None and self.name in _CONDITIONS

    def inside(self) -> Iterator[ApacheLine]:
        """What it holds, with what conditions that hold have in them."""
        for each in self.block or ():
            if not each.is_condition:
                yield each
            elif each.holds:
                yield from each.inside()

    def own(self, *names: str) -> list[ApacheLine]:
        """What of it has one of these names, in small letters."""
        return [each for each in self.inside() if each.name in names]

    def below(self) -> Iterator[ApacheLine]:
        """Everything that it holds, at any depth and under any condition."""
        for each in self.block or ():
            yield each
            yield from each.below()

    def upward(self) -> Iterator[ApacheLine]:
        """It, what it stands in, and so on."""
        here: ApacheLine | None = self
        while here is not None:
            yield here
            here = here.parent


@dataclass
class ApacheFile:
    """A whole configuration.

    Args:
        top: holds what stands in no section.
        replaced: includes that no file was found for, and names of the environment with their values.
        texts: the text of each file that was read.
        modules: those that are loaded by it, and those that are built in everywhere.
        is_part: whether it loads none, as a file of `sites-enabled` does not.
    """

    top: ApacheLine
    replaced: list[Replacement]
    texts: Mapping[Path, str]
    modules: set[str]
    is_part: bool

    def sections(self, name: str) -> list[ApacheLine]:
        """Its sections of a name, in small letters, that count."""
        return self.top.own(name)


def read_apache(path: Path, texts: Mapping[Path, str] | None = None) -> ApacheFile:
    """Read a file, or `apache2.conf` or `httpd.conf` of a folder, with all that it includes.

    Args:
        path: of the file or folder.
        texts: of files that are to be read otherwise than they are.

    Raises:
        BadInput: it cannot be read, or its sections do not match; names file and line.
    """
    main = _main(path).absolute()
    reading = _Reader(main.parent, dict(texts or {}))
    found = reading.whole(main)
    if not reading.loads:
        # Conditions hold for what the lab will load for it.
        reading = _Reader(main.parent, reading.texts, modules={*BUILT_IN, *FOR_A_PART})
        found = reading.whole(main)
    return ApacheFile(found, reading.replaced, reading.texts, reading.modules, not reading.loads)


def _main(path: Path) -> Path:
    if not path.is_dir():
        return path
    for name in ("apache2.conf", "httpd.conf", "conf/httpd.conf"):
        if (path / name).exists():
            return path / name
    others = ", ".join(sorted(each.name for each in path.glob("*.conf"))) or "none of .conf"
    raise BadInput(
        f"{path}: there is no apache2.conf or httpd.conf in that folder.", f"Give one of its files: {others}."
    )


class _Reader:
    """Reads a file with all that it includes.

    Args:
        root: the folder of the main file.
        texts: of files, those that were read too.
        modules: that are loaded before.
    """

    def __init__(self, root: Path, texts: dict[Path, str], modules: set[str] | None = None) -> None:
        self.root, self.texts = root, texts
        self.modules = set(modules or BUILT_IN)
        self.loads = False
        self.replaced: list[Replacement] = []
        self._values = dict(_environment(root))
        self._defined: dict[str, str] = {}
        self._macros: dict[str, tuple[list[str], list[ApacheLine]]] = {}
        self._files_read = 0

    def whole(self, main: Path) -> ApacheLine:
        top = ApacheLine("", "", main, block=[])
        self._read(main, top, 0)
        return top

    def _read(self, file: Path, parent: ApacheLine, depth: int) -> None:
        self._files_read += 1
        if self._files_read > MOST_FILES:
            remedy = "Give the file that the model is asked through; see --path."
            raise BadInput(f"{self.root}: more than {MOST_FILES:,} files are included.", remedy)
        here = parent
        for line in self._expanded(_lines(self._text(file), file)):
            if line.text.startswith("</"):
                if here is parent or here.name != line.text[2:].rstrip("> \t").lower():
                    raise BadInput(f"{line.spot}: closes no section that is open.", "Correct it: Apache refuses it.")
                here = here.parent or parent
                continue
            line.parent = here
            self._put_values(line, counts=all(each.holds for each in here.upward()))
            if line.name in ("include", "includeoptional"):
                self._include(line, here, depth)
                continue
            here.block = [*(here.block or []), line]
            if line.text.startswith("<"):
                line.block, here = [], line
                line.holds = not line.is_condition or self._holds(line)
            elif all(each.holds for each in here.upward()):
                self._note(line)
        if here is not parent:
            raise BadInput(f"{here.spot}: this section is not closed.", "Correct it: Apache refuses it.")

    def _expanded(self, lines: Iterable[ApacheLine]) -> Iterator[ApacheLine]:
        """The lines with those of a macro in the place of each `Use` of it; its own section is gone."""
        body: list[ApacheLine] | None = None
        for line in lines:
            opening = re.fullmatch(r"<macro\s+(.*)>", line.text, re.IGNORECASE)
            if body is not None:
                if line.text.lower() == "</macro>":
                    body = None
                else:
                    body.append(line)
            elif opening is not None:
                name, *parameters = [plain(each) for each in _TOKEN.findall(opening[1])]
                body = []
                self._macros[name.lower()] = parameters, body
            elif line.name == "use" and line.word(1).lower() in self._macros:
                parameters, own = self._macros[line.word(1).lower()]
                given = dict(zip(parameters, line.words[2:], strict=False))
                yield from self._expanded(_with_parameters(each, given) for each in own)
            elif line.name != "undefmacro":
                yield line

    def _text(self, file: Path) -> str:
        if file not in self.texts:
            try:
                self.texts[file] = read_whole(file, MOST_BYTES).decode()
            except OSError as error:
                raise BadInput(f"{file}: {error.strerror or error}", "Give a file that can be read.") from error
            except UnicodeDecodeError as error:
                raise BadInput(f"{file} is no text in UTF-8.", "Give a configuration of Apache's.") from error
        return self.texts[file]

    def _put_values(self, line: ApacheLine, *, counts: bool) -> None:
        """Put in what variables stand for; one without a value stays, as it does in Apache."""
        taken = []

        def value(found: re.Match[str]) -> str:
            name = found[1]
            if name in self._defined:
                return self._defined[name]
            if name in self._values and name not in _LABS:
                taken.append(name)
                return self._values[name]
            return found[0]

        line.text = _VALUE.sub(value, line.text)
        if taken and counts:
            self.replaced.append(Replacement(line.spot, "with its value", "a name of the environment"))

    def _note(self, line: ApacheLine) -> None:
        """What a line means for the lines behind it."""
        if line.name == "define":
            self._defined[line.word(1)] = line.word(2)
        elif line.name == "undefine":
            self._defined.pop(line.word(1), None)
        elif line.name == "loadmodule":
            self.modules.add(module_name(line.word(1)))
            self.loads = True

    def _holds(self, line: ApacheLine) -> bool:
        words = " ".join(line.words[1:]).lstrip()
        negated, what = words.startswith("!"), words.removeprefix("!").strip()
        match line.name:
            case "ifmodule":
                found = module_name(what) in self.modules
            case "ifdefine":
                found = what in self._defined
            case "ifversion":
                found = not what.startswith("<")
            case _:
                # A file of the user's system, or something that a version has: it is where the file is in use.
                found = True
        return found != negated

    def _include(self, line: ApacheLine, parent: ApacheLine, depth: int) -> None:
        if depth == _DEEPEST:
            raise BadInput(f"{line.spot} leads back to {line.file.name}, by whatever way.", "Take the include out.")
        files = self._files(line.word(1), line.file)
        if not files and all(each.holds for each in parent.upward()):
            self.replaced.append(Replacement(line.spot, "", "no such file is here"))
        for file in files:
            self._read(file, parent, depth + 1)

    def _files(self, pattern: str, file: Path) -> list[Path]:
        """The files of an include: below the main file's folder by ever less of its path, or as it is written."""
        if not pattern:
            return []
        places = [] if Path(pattern).is_absolute() else [self.root / pattern, self.root.parent / pattern]
        places += [folder / end for folder in (self.root, self.root.parent) for end in ends_of(pattern)]
        # What stands beside the main file is the user's; this machine may have an Apache of its own.
        places += [Path(pattern)] if Path(pattern).is_absolute() else []
        for place in places:
            found = [one for each in sorted(_globbed(place)) for one in _with_files(each) if one != file]
            if found:
                return found
        return []


def _with_parameters(line: ApacheLine, given: Mapping[str, str]) -> ApacheLine:
    """A line of a macro with what a `Use` gives; of two names that begin alike the longer one counts."""
    text = line.text
    for name in sorted(given, key=len, reverse=True):
        text = text.replace(name, given[name])
    return replace(line, text=text)


def _globbed(place: Path) -> Iterator[Path]:
    pattern = str(place.relative_to(place.anchor))
    return Path(place.anchor).glob(pattern) if pattern != "." else iter(())


def _with_files(place: Path) -> Iterator[Path]:
    """A file itself; of a folder, as Apache reads it, everything below it."""
    if place.is_dir():
        for each in sorted(place.iterdir()):
            yield from _with_files(each)
    elif place.is_file() and not place.name.startswith("."):
        yield place


def _environment(root: Path) -> Mapping[str, str]:
    """The environment's values, and those of Debian's `envvars` beside the file."""
    try:
        lines = (root / "envvars").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        lines = []
    pairs = [found.groups() for each in lines if (found := re.match(r"\s*export (\w+)=([^\s#]+)", each))]
    own = {name: re.sub(r"\$\w+", "", value) for name, value in pairs}
    return {**own, **values_for(root)}


def _lines(text: str, file: Path) -> Iterator[ApacheLine]:
    """Its lines, with those that a backslash continues put together; neither comments nor empty ones."""
    if "\0" in text:
        raise BadInput(f"{file} is no text: there are bytes in it that are 0.", "Give a configuration of Apache's.")
    first, parts = 0, list[str]()
    for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
        whole = line.rstrip("\r")
        first = first if parts else number
        if whole.endswith("\\"):
            parts.append(whole[:-1])
            continue
        joined, parts = "".join((*parts, whole)), []
        stripped = joined.strip()
        if stripped and not stripped.startswith("#"):
            yield ApacheLine(stripped, stripped, file, first, number, joined[: len(joined) - len(joined.lstrip())])
