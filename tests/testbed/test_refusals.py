"""What a configuration's author is told when it cannot work: the line, what is the matter, and what to do; at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

import pytest
import pytest_asyncio

from lab.errors import SetUpFault
from lab.products import PRODUCTS, PROXIES
from lab.testbed.builders import PackageOfDebian, local_tag
from lab.testbed.containers import Containers
from lab.testbed.images import TABLE, ImageInUse
from lab.testbed.runner import Became, advice
from lab.testbed.testbed import Target, Testbed

SAYS = {
    # As the products printed it; the paths are shortened.
    "pid": ("nginx", '[emerg] 11#11: "pid" directive is duplicate in /x.conf:1', "pid file"),
    "daemon": ("nginx", '[emerg] 11#11: "daemon" directive is duplicate in /x.conf:1', "foreground"),
    "user": ("nginx", '[emerg] 10#10: getpwnam("nobodyhere") failed in /x.conf:1', "nginx or www-data"),
    "group": ("nginx", '[emerg] 10#10: getgrnam("nobodyhere") failed in /x.conf:1', "nginx or www-data"),
    "part": ("nginx", '[emerg] 11#11: "server" directive is not allowed here in /x.conf:1', "http { server { ... } }"),
    "no events": ("nginx", '[emerg] 11#11: no "events" section in configuration', "`events {}`"),
    "host": ("nginx", '[emerg] 10#10: host not found in upstream "backend" in /x.conf:2', "${MODEL}"),
    "certificate": (
        "nginx",
        '[emerg] 7#7: cannot load certificate "/etc/ssl/our.pem": BIO_new_file()',
        "${CERTIFICATE}",
    ),
    "file": ("nginx", '[emerg] 7#7: open() "/etc/nginx/m.types" failed (2: No such file or directory)', "beside"),
    "HAProxy's user": ("haproxy", "[ALERT] (8) : parsing [/x.cfg:2] : cannot find user id for 'nosuch'", "haproxy"),
    "HAProxy's host": ("haproxy", "[ALERT] (10) : [/x.cfg:18] : could not resolve address 'backend'.", "${MODEL}"),
    "Apache's user": ("apache", "AH00543: apache2: bad user name apache", "User nobody"),
    "Apache's part": ("apache", "AH00534: apache2: Configuration error: No MPM loaded.", "LoadModule"),
    "Apache's module": (
        "apache",
        "Invalid command 'ProxyPass', perhaps misspelled or defined by a module",
        "LoadModule",
    ),
    "address": ("caddy", "listen tcp [::1]:29465: bind: cannot assign requested address", "0.0.0.0:${PORT}"),
    "Apache's address": ("apache", "(99)Cannot assign requested address: AH00072: make_sock", "0.0.0.0:${PORT}"),
}


@pytest.mark.parametrize("case", SAYS)
def test_a_refusal_has_its_remedy_and_no_hint_about_patience(case: str) -> None:
    """Whoever waits longer is refused again."""
    product, said, remedy = SAYS[case]
    words = advice(PRODUCTS[product], Became.ENDED, said)
    assert remedy in words
    assert "LAB_PATIENCE" not in words


def test_only_silence_is_answered_by_patience() -> None:
    """What is not known by its words is to be corrected; waiting helps only who has not answered yet."""
    nginx = PRODUCTS["nginx"]
    assert "LAB_PATIENCE" not in advice(nginx, Became.ENDED, "[emerg] something new")
    assert "LAB_PATIENCE" in advice(nginx, Became.SILENT, "")
    assert "LAB_PATIENCE" not in advice(nginx, Became.DEAF, "")


def test_users_of_the_official_image_are_those_of_the_labs() -> None:
    """The recipe makes them, and a recipe with others is another image."""
    recipe = TABLE["nginx-1.30"].recipe
    assert isinstance(recipe, PackageOfDebian)
    assert "useradd --system --user-group --no-create-home nginx" in recipe.dockerfile("base")
    assert local_tag("nginx", "1.30", recipe) != local_tag("nginx", "1.30", replace(recipe, users=()))


SERVER = "http { server { listen LISTEN; location / { proxy_pass http://${MODEL}; } } }\n"
FILES = {
    "loopback": "events {}\n" + SERVER.replace("LISTEN", "127.0.0.1:${PORT}"),
    "pid": "events {}\npid /run/nginx.pid;\n" + SERVER.replace("LISTEN", "${PORT}"),
    "user": "user nginx;\nevents {}\n" + SERVER.replace("LISTEN", "${PORT}"),
}


@pytest_asyncio.fixture(name="bed", scope="module", loop_scope="module")
async def _bed(
    images_in_use: Mapping[str, ImageInUse], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Testbed]:
    folder = tmp_path_factory.mktemp("refusals")
    for name, text in FILES.items():
        (folder / f"{name}.conf").write_text(text)
    targets = [Target(name, PROXIES["nginx-1.30"], folder / f"{name}.conf") for name in FILES]
    async with Testbed(targets, Containers(images_in_use)) as testbed:
        yield testbed


@pytest.mark.engine
@pytest.mark.asyncio(loop_scope="module")
class TestInAContainer:
    async def test_who_listens_on_loopback_is_told_so_with_the_line(self, bed: Testbed) -> None:
        """Nothing outside of the container could ever ask it, however long it waits."""
        with pytest.raises(SetUpFault, match=r"loopback.conf:2: http \{ server \{ listen 127.0.0.1") as caught:
            bed.url("loopback")
        assert "loopback address only" in str(caught.value)
        assert "0.0.0.0:${PORT}" in str(caught.value)
        assert "LAB_PATIENCE" not in str(caught.value)

    async def test_the_line_that_is_refused_is_told_with_what_to_do(self, bed: Testbed) -> None:
        """By the path that its author knows."""
        with pytest.raises(SetUpFault, match=r"pid.conf:2\n.*Take that line out"):
            bed.url("pid")

    async def test_the_official_images_user_is_there(self, bed: Testbed) -> None:
        """What serves in production with `user nginx` serves here."""
        assert bed.url("user").startswith("http://")
