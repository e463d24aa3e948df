"""A user's nginx files after a fix: the lines that it is about, and not one byte more."""

from __future__ import annotations

from pathlib import Path

from lab.products.adapted import EntranceWish
from lab.products.nginx.adapt import Nginx, adapt
from lab.verify.changes import replace_file

SETTINGS = ("proxy_buffering off;", "proxy_read_timeout 600s;")


def edited(path: Path) -> dict[Path, bytes]:
    """The files as a fix would write them."""
    adapter: Nginx = adapt(path, EntranceWish())
    changed = adapter.edit(adapter.entrances[0], SETTINGS)
    for file, text in changed.items():
        replace_file(file, text)
    return {file: file.read_bytes() for file in changed}


def test_a_setting_of_an_included_file_is_replaced_there(tmp_path: Path) -> None:
    """A second one beside the include would be a duplicate, which nginx refuses."""
    main, part = tmp_path / "nginx.conf", tmp_path / "proxy.inc"
    main.write_text("server {\n  location / {\n    include proxy.inc;\n    proxy_pass http://m;\n  }\n}\n")
    part.write_text("proxy_buffering on;\nproxy_read_timeout 3s; # short\n")
    assert edited(main) == {part: b"proxy_buffering off;\nproxy_read_timeout 600s; # short\n"}


def test_each_setting_goes_where_it_stands(tmp_path: Path) -> None:
    """One into the included file, the other into the location."""
    main, part = tmp_path / "nginx.conf", tmp_path / "proxy.inc"
    main.write_text("server {\n  location / {\n    include proxy.inc;\n    proxy_pass http://m;\n  }\n}\n")
    part.write_text("proxy_read_timeout 3s;\n")
    assert edited(main) == {
        main: b"server {\n  location / {\n    proxy_buffering off;\n"
        b"    include proxy.inc;\n    proxy_pass http://m;\n  }\n}\n",
        part: b"proxy_read_timeout 600s;\n",
    }


def test_line_ends_and_other_bytes_stay(tmp_path: Path) -> None:
    """Those of DOS, and what is no UTF-8; an added line has the end of its neighbour."""
    main = tmp_path / "nginx.conf"
    main.write_bytes(
        b"# caf\xe9\r\nserver {\r\n\tlocation / {\r\n\t\tproxy_read_timeout 3s;\r\n\t\tproxy_pass http://m;\r\n\t}\r\n}\r\n"
    )
    assert edited(main) == {
        main: b"# caf\xe9\r\nserver {\r\n\tlocation / {\r\n\t\tproxy_buffering off;\r\n\t\tproxy_read_timeout 600s;\r\n"
        b"\t\tproxy_pass http://m;\r\n\t}\r\n}\r\n"
    }


def test_lines_are_those_of_nginx(tmp_path: Path) -> None:
    """A form feed or another separator that Python knows ends none."""
    main = tmp_path / "nginx.conf"
    main.write_text("# a\x0cb\u2028c\x85\nserver {\n  location / {\n    proxy_pass http://m;\n  }\n}\n")
    (changed,) = edited(main).values()
    assert changed.decode().split("\n")[3:5] == ["    proxy_buffering off;", "    proxy_read_timeout 600s;"]
