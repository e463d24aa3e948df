"""Where keys come from, where they go, and that they stand in nothing that is written."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html import escape
from itertools import product
from pathlib import Path
from urllib.parse import quote, quote_plus, unquote

import pytest

from lab.endpoint.keys import Keys, Secret, plain_header, read_keys
from lab.endpoint.mask import MASK, Mask
from lab.errors import BadInput
from lab.evidence import Read, Trace, TransportEnd

KEY = "sk-proj-0123456789abcdefghij"
VENDOR = {"path": "https://api.openai.com/v1/chat/completions"}
FOREIGN = {"path": "https://gateway.example.com/v1/chat/completions"}


ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON twice": lambda text: json.dumps(json.dumps(text))[3:-3],
    "JSON of PHP": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "JSON of Go": lambda text: re.sub("[&<>]", lambda match: f"\\u{ord(match[0]):04x}", json.dumps(text)[1:-1]),
    "URL": lambda text: quote(text, safe=""),
    "URL with slashes": quote,
    "URL in lower case": lambda text: re.sub("%..", lambda match: match[0].lower(), quote(text, safe="")),
    "URL twice": lambda text: quote(quote(text, safe=""), safe=""),
    "form": quote_plus,
    "HTML": escape,
    "HTML of Go": lambda text: escape(text).replace("&quot;", "&#34;").replace("&#x27;", "&#39;"),
    "XML": lambda text: escape(text).replace("&#x27;", "&apos;"),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "base64 in a URL": lambda text: quote(base64.b64encode(text.encode()).decode(), safe=""),
    "hexadecimal": lambda text: text.encode().hex(),
}
"""As the standard library and other languages' encoders write a text."""


def headers(keys: Keys, route: str = "path") -> dict[str, str]:
    """What would be sent to a route."""
    return dict(secret.plain() for secret in keys.of(route))


class TestWhereFrom:
    def test_the_vendors_variable_goes_to_the_vendor(self) -> None:
        """Whoever has a vendor's key in the usual variable need not name it for the vendor's own host."""
        keys = read_keys("openai-chat", VENDOR, environment={"OPENAI_API_KEY": KEY})
        assert headers(keys) == {"Authorization": f"Bearer {KEY}"}

    @pytest.mark.parametrize(
        "url",
        [
            "https://gateway.example.com/v1/chat/completions",
            "https://api.openai.com.example.com/v1/chat/completions",
            "https://evilapi.openai.com.example/v1/chat/completions",
            "http://api.openai.com/v1/chat/completions",
            "http://127.0.0.1:8000/v1/chat/completions",
        ],
    )
    def test_the_vendors_variable_goes_to_no_foreign_endpoint(self, url: str) -> None:
        """A key that was not asked for leaves for the vendor's host over TLS and for nobody else."""
        assert headers(read_keys("openai-chat", {"path": url}, environment={"OPENAI_API_KEY": KEY})) == {}

    def test_a_key_that_was_asked_for_goes_where_it_was_asked_for(self) -> None:
        """--key-env names the variable for any host."""
        keys = read_keys("openai-chat", FOREIGN, key_env=["GATE_KEY"], environment={"GATE_KEY": f" {KEY}\n"})
        assert headers(keys) == {"Authorization": f"Bearer {KEY}"}

    def test_anthropics_key_travels_in_its_own_header(self) -> None:
        """The wire format says in which header."""
        keys = read_keys("anthropic-messages", FOREIGN, key_env=["GATE_KEY"], environment={"GATE_KEY": KEY})
        assert headers(keys) == {"x-api-key": KEY}

    def test_a_route_can_have_a_key_of_its_own(self) -> None:
        """The gateway's key does not go to the model's own address where that has another."""
        urls = {**FOREIGN, "direct": "https://model.example.com/v1/chat/completions"}
        environment = {"GATE_KEY": KEY, "MODEL_KEY": "another-key"}
        keys = read_keys("openai-chat", urls, key_env=["GATE_KEY", "direct=MODEL_KEY"], environment=environment)
        assert headers(keys, "path") == {"Authorization": f"Bearer {KEY}"}
        assert headers(keys, "direct") == {"Authorization": "Bearer another-key"}

    def test_a_file_holds_a_key(self, tmp_path: Path) -> None:
        """A secret mounted as a file is read without its line end."""
        (tmp_path / "key").write_text(f"{KEY}\n")
        keys = read_keys("openai-chat", FOREIGN, key_file=tmp_path / "key", environment={})
        assert headers(keys) == {"Authorization": f"Bearer {KEY}"}

    def test_headers_that_are_no_secret(self) -> None:
        """Routing headers are sent as they are given, and masked nowhere."""
        assert plain_header("X-Portkey-Provider=openai=v1") == ("X-Portkey-Provider", "openai=v1")

    @pytest.mark.parametrize(
        ("entry", "told"),
        [
            ("X-Provider", "not NAME=VALUE"),
            ("=openai", "not NAME=VALUE"),
            ("Host=example.com", "not NAME=VALUE"),
            ("Authorization=Bearer correct-horse", "must not stand on the command line"),
            ("X-API-Key=correct-horse", "must not stand on the command line"),
            ("X-Provider=a\nb", "one line of printable ASCII"),
        ],
    )
    def test_a_header_on_the_command_line_carries_no_key(self, entry: str, told: str) -> None:
        """Every user of the machine could read it; the message does not repeat it."""
        with pytest.raises(BadInput, match=told) as refused:
            plain_header(entry)
        assert "correct-horse" not in str(refused.value)

    def test_other_secret_headers(self) -> None:
        """A gateway's own header comes from a variable too."""
        keys = read_keys("openai-chat", FOREIGN, header_env=["X-Gate=GATE_KEY"], environment={"GATE_KEY": KEY})
        assert headers(keys) == {"X-Gate": KEY}


class TestRefused:
    @pytest.mark.parametrize(
        ("given", "told"),
        [
            ({"key_env": ["NO_SUCH"]}, "there is no variable NO_SUCH"),
            ({"key_env": [KEY]}, "no name of a variable"),
            ({"key_env": ["abcdefghijklmnop"]}, "no variable of that name"),
            ({"key_env": [f"x={KEY}"]}, "names no route"),
            ({"key_env": ["EMPTY"]}, "EMPTY is empty"),
            ({"key_env": ["SHORT"]}, "fewer than 6"),
            ({"key_env": ["LINES"]}, "holds no key"),
            ({"key_env": ["GOOD", "GOOD"]}, "more than one key"),
            ({"key_file": Path("/no/such/file")}, "No such file"),
            ({"header_env": [f"X-Gate={KEY}"]}, "no name of a variable"),
            ({"header_env": [f"Authorization: Bearer {KEY}"]}, "not Header=VARIABLE"),
            ({"header_env": ["Host=GOOD"]}, "not Header=VARIABLE"),
        ],
    )
    def test_what_is_no_key_is_told_without_repeating_it(self, given: dict[str, object], told: str) -> None:
        """The message names the option and the remedy, and never what may be the key itself."""
        environment = {"EMPTY": " ", "SHORT": "x", "LINES": f"{KEY}\nHost: x", "GOOD": KEY}
        with pytest.raises(BadInput) as caught:
            read_keys("openai-chat", FOREIGN, environment=environment, **given)  # type: ignore[arg-type]
        assert told in caught.value.problem
        assert caught.value.remedy
        assert KEY not in str(caught.value)

    @pytest.mark.parametrize("host", ["gateway.example.com", "8.8.8.8", "gateway", "[2001:4860:4860::8888]"])
    def test_no_key_over_clear_text(self, host: str) -> None:
        """Everybody on the way could read it."""
        with pytest.raises(BadInput, match="clear text"):
            read_keys("openai-chat", {"path": f"http://{host}/v1"}, key_env=["K"], environment={"K": KEY})

    @pytest.mark.parametrize("host", ["localhost:80", "127.0.0.1", "10.1.2.3:8000", "[::1]:8000", "192.168.0.9"])
    def test_nearby_clear_text_is_allowed(self, host: str) -> None:
        """This machine and private addresses are where models run without TLS."""
        keys = read_keys("openai-chat", {"path": f"http://{host}/v1"}, key_env=["K"], environment={"K": KEY})
        assert headers(keys)


class TestMasking:
    def test_no_repr_shows_a_secret(self) -> None:
        """Whatever prints these objects, a traceback or a log, prints no key."""
        keys = read_keys("openai-chat", FOREIGN, key_env=["K"], environment={"K": KEY})
        assert KEY not in repr(keys) + str(keys) + repr(keys.mask) + repr(keys.common)

    @pytest.mark.parametrize(
        "text",
        [
            f"Incorrect API key provided: {KEY}.",
            f'{{"authorization": "Bearer {KEY}"}}',
            f"cut off here: {KEY[:-3]}",
            f"cut off here: {KEY[:14]}",
        ],
    )
    def test_texts_lose_the_key(self, text: str) -> None:
        """Whole, or as much of it as tells."""
        masked = Mask.of([f"Bearer {KEY}"]).text(text)
        assert MASK in masked
        assert KEY[:12] not in masked

    def test_other_spellings_are_known(self) -> None:
        """JSON, HTML and URLs write some characters otherwise."""
        key = 'a"b&c/d+e<f'
        mask = Mask.of([key])
        for spelt in (key, 'a\\"b&c/d+e<f', "a&quot;b&amp;c/d+e&lt;f", "a%22b%26c%2Fd%2Be%3Cf"):
            assert mask.text(f"<{spelt}>") == f"<{MASK}>"

    @pytest.mark.parametrize("name", ENCODINGS)
    @pytest.mark.parametrize("key", [KEY, "gate/with+odd=chars&more<'x\">"])
    def test_encoded_keys_are_known(self, key: str, name: str) -> None:
        """However an encoder writes it, alone or amid other text, no telling part of the key is left."""
        encode = ENCODINGS[name]
        for before, after in product(("", "x", "xy"), ("", "1", "12")):
            spelt = encode(f"{before}{key}{after}")
            masked = Mask.of([f"Bearer {key}"]).text(f"seen: {spelt}; over")
            assert MASK in masked
            # What is left may hold the bits of the neighbours that share a character of base64 with the key.
            assert len(unquote(masked)) <= len("seen: ; over") + len(MASK) + 4 + len(encode(before + after))

    def test_a_basic_password_is_known_decoded(self) -> None:
        """Servers decode what Basic carries, and tell the user's name and password."""
        mask = Mask.of(["Basic " + base64.b64encode(b"somebody:hunter22").decode()])
        assert mask.text("somebody:hunter22, or hunter22") == f"{MASK}, or {MASK}"

    def test_a_trace_keeps_its_sizes(self) -> None:
        """A key that came in pieces is overwritten, and every read stays as long as it was."""
        pieces = [b"echo " + KEY[:5].encode(), KEY[5:9].encode(), KEY[9:].encode() + b" end"]
        reads = tuple(Read(float(at), piece) for at, piece in enumerate(pieces))
        trace = Trace(0.0, 3.0, TransportEnd.FRAMED, headers=(("x-echo", KEY),), reads=reads, body=reads)
        masked = Mask.of([KEY]).trace(trace)
        assert b"".join(read.data for read in masked.body) == b"echo " + b"*" * len(KEY) + b" end"
        assert [len(read.data) for read in masked.reads] == [len(piece) for piece in pieces]
        assert masked.headers == (("x-echo", MASK),)
        assert replace(masked, headers=(), reads=(), body=()) == replace(trace, headers=(), reads=(), body=())

    def test_without_a_secret_nothing_changes(self) -> None:
        """The usual audit of one's own server has no key at all."""
        trace = Trace(0.0, 3.0, TransportEnd.FRAMED, body=(Read(0.0, base64.b64encode(b"x")),))
        assert Keys().mask.trace(trace) is trace

    def test_secret_names_its_source(self) -> None:
        """The statement of cost says where the key came from."""
        keys = read_keys("openai-chat", FOREIGN, key_env=["K"], environment={"K": KEY})
        assert isinstance(keys.common, Secret)
        assert keys.common.source == "K"
