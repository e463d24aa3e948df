"""Which location, server and host of a user's nginx files are asked, as nginx itself would choose them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from lab.errors import BadInput
from lab.products.adapted import EntranceWish
from lab.products.nginx.adapt import Nginx, adapt

Read = Callable[..., Nginx]


@pytest.fixture(name="read")
def _read(tmp_path: Path) -> Read:
    def read(text: str, path: str = "", host: str = "", upstreams: Sequence[str] = (), **others: str) -> Nginx:
        for name, content in others.items():
            (tmp_path / name).write_text(content)
        (tmp_path / "nginx.conf").write_text(text)
        return adapt(tmp_path / "nginx.conf", EntranceWish(path, host, tuple(upstreams)))

    return read


def served(locations: str) -> str:
    """One server on port 80."""
    return f"events {{}} http {{ upstream m {{ server a; server b; }} server {{ listen 80; {locations} }} }}"


@pytest.mark.parametrize(
    ("location", "asked"),
    [
        ("=/v1/messages", "/v1/messages"),
        ("~^/api/(chat|generate)$", "/api/chat"),
        ("~*^/V1/", "/v1/chat/completions"),
        ("^~/llm/", "/llm/v1/chat/completions"),
        (r"~ ^/svc/(?<name>[a-z]+)/(?<rest>.*)$", "/svc/api/chat"),
        (r"~ (/app)?/rpc", "/rpc/v1/chat/completions"),
        (r"~ ^/[[:alpha:]]+/v1/", "/a/v1/chat/completions"),
    ],
)
def test_however_a_location_is_written_it_is_found(read: Read, location: str, asked: str) -> None:
    """Nginx takes a modifier without a space behind it, and PCRE's named groups and classes."""
    (one,) = read(served(f"location {location} {{ proxy_pass http://m; }} location / {{ root /srv; }}")).entrances
    assert one.path == asked


def test_what_a_pattern_catches_counts_in_what_arrives(read: Read) -> None:
    """`/svc/api/chat` would arrive as `/chat`, which is no path of a model's."""
    text = served("location ~ ^/svc/(?<name>[a-z]+)/(?<rest>.*)$ { proxy_pass http://m/$rest$is_args$args; }")
    (one,) = read(text).entrances
    assert one.path == "/svc/a/a/v1/chat/completions"


@pytest.mark.parametrize(
    ("path", "line"),
    [("/chat/completions", 3), ("/openai/chat/completions", 3), ("/plain/v1/messages", 6), ("/v1/messages", 3)],
)
def test_a_path_is_followed_through_what_rewrites_it(read: Read, path: str, line: int) -> None:
    """In the server, and in a location whose `last` or lack of a flag has nginx look for another."""
    text = """\
server { listen 80;
    rewrite ^/chat/(.*)$ /v1/chat/$1 last;
    location /v1/ { proxy_pass http://m; }
    location /openai/ { rewrite ^/openai/(.*)$ /v1/$1 last; }
    location /old/ { rewrite ^ https://example.com/ permanent; proxy_pass http://m; }
    location /plain/ { rewrite ^/plain(/.*)$ $1 break; proxy_pass http://m; }
    location / { root /srv; } }
"""
    (one,) = read(text, path).entrances
    assert one.spot.line == line
    assert one.path == path
    with pytest.raises(BadInput, match="no location of .* passes that on"):
        read(text, "/old/v1/messages")


@pytest.mark.parametrize(
    "locations",
    [
        "try_files $uri @app; location @app { proxy_pass http://m; }",
        "error_page 418 = @app; location @app { proxy_pass http://m; } location / { return 418; }",
        "error_page 418 = @app; location @app { proxy_pass http://m; }"
        " location / { if ($request_method = POST) { return 418; } root /srv; }",
    ],
)
def test_what_leads_to_a_named_location_from_above_is_an_entrance(read: Read, locations: str) -> None:
    """`try_files` of a server serves what no location takes; an inherited `error_page` serves what returns its code."""
    adapter = read(served(locations))
    (one,) = adapter.entrances
    assert one.path == "/v1/chat/completions"
    assert adapter.location(one).args == ["@app"]


def test_pages_for_errors_of_its_own_make_no_entrance_of_a_location(read: Read) -> None:
    """What `error_page 502 = @other` serves comes after an answer that failed."""
    text = "error_page 502 = @other; location @other { proxy_pass http://m; } location / { root /srv; }"
    with pytest.raises(BadInput):
        read(served(text))


def test_a_server_is_reached_by_a_host_that_its_pattern_fits(read: Read) -> None:
    """Without one the default server would answer in its place."""
    text = r"""
events {} http {
    server { listen 80 default_server; return 444; }
    server { listen 80; server_name ~^(?<who>[a-z]+)\.chat\.example\.com$; location / { proxy_pass http://m; } }
}"""
    (one,) = read(text).entrances
    assert one.host == "any.chat.example.com"


HOSTS = r"""
events {} http {
    server { listen 80; server_name *.example.com; location / { proxy_pass http://a; } }
    server { listen 80; server_name chat.example.com; location / { proxy_pass http://b; } }
    server { listen 80; server_name ~^.+\.example\.com$; location / { proxy_pass http://c; } }
    server { listen 80; server_name chat.*; location / { proxy_pass http://d; } }
    server { listen 80; server_name chat.example.com; location / { proxy_pass http://e; } }
}"""


@pytest.mark.parametrize(
    ("host", "line"), [("chat.example.com", 4), ("CHAT.example.com", 4), ("x.example.com", 3), ("chat.example.org", 6)]
)
def test_the_host_chooses_one_server_as_nginx_does(read: Read, host: str, line: int) -> None:
    """The exact name, the longest one behind a star, the longest one before a star, the first pattern."""
    (one,) = read(HOSTS, host=host).entrances
    assert one.spot.line == line


def test_a_server_that_another_hides_is_no_entrance(read: Read) -> None:
    """Nginx ignores a name that the same address has already, and asks no second server without one."""
    lines = [each.spot.line for each in read(HOSTS).entrances]
    assert 7 not in lines
    one = "server { location / { proxy_pass http://a; } }"
    assert [each.spot.line for each in read(f"events {{}} http {{ {one}\n {one} }}").entrances] == [1]


def test_a_listener_that_only_a_stream_leads_to_is_asked(read: Read) -> None:
    """TLS that is told apart by its name comes in through `stream`, which carries no HTTP."""
    text = """
events {}
stream { server { listen 443; ssl_preread on; proxy_pass 127.0.0.1:8443; } }
http { server { listen 127.0.0.1:8443 ssl proxy_protocol; location / { proxy_pass http://m; } } }"""
    (one,) = read(text).entrances
    assert one.secure


def test_a_file_that_two_servers_include_is_asked_through_both(read: Read) -> None:
    """Each with what holds in its own server, and each named otherwise."""
    text = """
events {} http {
    server { listen 80; server_name a.x; proxy_buffering off; include shared.inc; }
    server { listen 80; server_name b.x; include shared.inc; }
    server { listen 81; server_name b.x; include shared.inc; }
}"""
    adapter = read(text, **{"shared.inc": "location / { proxy_pass http://m; }"})
    assert [each.name for each in adapter.entrances] == [
        "location / of a.x", "location / of b.x", "location / of b.x on 81"
    ]  # fmt: skip
    found = [adapter.spot_of(each, "proxy_buffering off;") is not None for each in adapter.entrances]
    assert found == [True, False, False]
    copies = [adapter.copy(each, ("proxy_buffering on;",)) for each in adapter.entrances]
    # In the first server only, then in the second only.
    assert [text.partition("b.x")[0].count("proxy_buffering on;") for text in copies] == [1, 0, 0]


@pytest.mark.parametrize("text", [
    "map $http_x $pool { default blue; x green; }", "split_clients $request_id $pool { 50% blue; * green; }",
])  # fmt: skip
def test_an_upstream_that_a_variable_chooses_is_found_by_its_name(read: Read, text: str) -> None:
    """`--upstream` knows what is put into the variable."""
    whole = f"events {{}} http {{ {text} server {{ location / {{ proxy_pass http://$pool; }} }} }}"
    assert len(read(whole, upstreams=["green"]).entrances) == 1
    with pytest.raises(BadInput, match="passes nothing on to that"):
        read(whole, upstreams=["red"])
