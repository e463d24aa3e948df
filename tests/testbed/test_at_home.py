"""What is changed in a configuration for a process that has no container around it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lab.products import PRODUCTS, Product, Proxy
from lab.testbed._plan import Instance, Target
from lab.testbed.config import Upstream
from lab.testbed.processes import command_of, home

FOLDER, SNIPPETS = Path("/tmp/a-run/nginx-10001"), Path("/tmp/a-run/snippets")  # noqa: S108  # nothing is written
MODEL = Upstream("127.0.0.1", 10002)


def at_home(name: str, template: str) -> str:
    """The text as the product's binary is given it."""
    product = PRODUCTS[name]
    target = Target("it", Proxy(product, product.versions[0]), FOLDER / f"it{product.suffix}")
    return Instance(target, 10001, MODEL, str(FOLDER)).fill(home(FOLDER, SNIPPETS, product).text(template, product))


@pytest.mark.parametrize(
    ("name", "template", "listens"),
    [
        ("nginx", "listen ${PORT};", "listen 127.0.0.1:10001;"),
        ("nginx", "listen  ${PORT} reuseport;", "listen  127.0.0.1:10001 reuseport;"),
        ("haproxy", "bind :${PORT}", "bind 127.0.0.1:10001"),
        ("haproxy", "bind *:${PORT} alpn h2", "bind 127.0.0.1:10001 alpn h2"),
        (
            "envoy",
            "socket_address: {address: 0.0.0.0, port_value: ${PORT}}",
            "socket_address: {address: 127.0.0.1, port_value: 10001}",
        ),
    ],
)
def test_nobody_but_this_machine_reaches_it(name: str, template: str, listens: str) -> None:
    """A container's network is the lab's own; without one, only loopback is."""
    assert at_home(name, template) == listens


def test_the_snippets_of_nginx_are_where_they_were_put() -> None:
    """The path that users copy, and that no machine need have."""
    text = at_home("nginx", "include /etc/nginx/snippets/streaming.conf;")
    assert text == f"include {SNIPPETS}/nginx/streaming.conf;"


def test_nginx_writes_into_its_own_folder_or_its_log() -> None:
    """Folders of root's are for root alone; what the author has set himself is left to him."""
    text = at_home("nginx", "http {\n  proxy_temp_path /srv/mine;\n  error_log /var/log/nginx/error.log info;\n}\n")
    assert "proxy_temp_path /srv/mine;" in text
    assert f"client_body_temp_path {FOLDER}/client_body;" in text
    assert text.count("proxy_temp_path") == 1
    assert "error_log /dev/stderr info;" in text
    assert "access_log /dev/stdout;" in text
    kept = at_home("nginx", "http { access_log off; proxy_cache_path /var/lib/nginx/mine keys_zone=a:1m; }")
    assert kept.count("access_log") == 1
    assert f"proxy_cache_path {FOLDER}/var/lib/nginx/mine " in kept


def test_folders_of_a_container_stand_below_the_targets_own() -> None:
    """A page of statistics, a chroot: whatever a product's containers can write to."""
    assert at_home("haproxy", "chroot /var/lib/haproxy") == f"chroot {FOLDER}/var/lib/haproxy"


def test_caddy_is_reloaded_over_a_socket_in_its_own_folder() -> None:
    """Not in the folder that all users of a machine share."""
    assert at_home("caddy", "admin unix//tmp/caddy-${PORT}.sock") == f"admin unix/{FOLDER}/caddy-10001.sock"


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS)
def test_what_the_lab_ships_listens_on_loopback(product: Product) -> None:
    """Default and recommended configuration of every product: no port is open to other machines."""
    for config in (product.default, product.recommended):
        template = config.read_text()
        text = at_home(product.name, template)
        # Not the one behind which the model server is.
        own = re.sub(r"127\.0\.0\.1(?::|, port_value: )10002", "", text)
        assert "127.0.0.1" in own
        assert not re.search(r"(?:0\.0\.0\.0|\*|\[::\])(?::|, port_value: )10001", own)


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS)
def test_a_command_has_the_named_binary_and_writes_into_the_targets_folder(product: Product) -> None:
    """No other program of that name is run, and no pid file lies in a folder that all users share."""
    command = " ".join(command_of(product, Path("/opt/it"), f"{FOLDER}/proxy.conf", FOLDER / "own"))
    assert "/opt/it" in command
    assert f"{FOLDER}/proxy.conf" in command
    assert "command -v" not in command
    assert "/tmp/" not in command.replace(str(FOLDER), "")  # noqa: S108  # none is written to
