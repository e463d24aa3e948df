"""nginx: 1.26 asks its upstream with HTTP/1.0 by default, 1.30 with HTTP/1.1; both are worth a look.

Each process needs a pid file of its own; it is named after the folder and file of its configuration.
A configuration that sets `pid` or `daemon` itself is refused by nginx as a duplicate.
"""

from __future__ import annotations

import re

from lab.products._product import VERSION, Complaint, DebianPackage, Product, Remedy, Signs, Snippets, Version, header
from lab.products.nginx.adapt import adapt
from lab.products.nginx.check import check, read_timeouts
from lab.vocabulary import Trouble


def _serve(path: str) -> list[str]:
    # A pid file that no other configuration of the same container uses.
    name = re.sub(r"[^A-Za-z0-9]+", "-", path).strip("-")
    # -e: what happens before the configuration is read goes to the log of the container as well.
    return ["nginx", "-c", path, "-e", "stderr", "-g", f"daemon off; pid /tmp/nginx-{name}.pid;"]


_WRITES = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def _at_home(text: str, folder: str) -> str:
    """Its packages have it write to folders of root's, even before it has read a word."""
    text = re.sub(r"\blisten(\s+)\$\{PORT\}", r"listen\g<1>127.0.0.1:${PORT}", text)
    text = text.replace("/var/log/nginx/access.log", "/dev/stdout").replace("/var/log/nginx/error.log", "/dev/stderr")
    added = [f"{each}_temp_path {folder}/{each};" for each in _WRITES if f"{each}_temp_path" not in text]
    if "access_log" not in text:
        added.append("access_log /dev/stdout;")
    return re.sub(r"(?m)^(\s*http\s*\{)", lambda found: f"{found[1]} {' '.join(added)}", text, count=1)


_REFUSALS = (
    Complaint(
        re.compile('"pid" directive is duplicate'), "Take that line out: the lab gives each process its own pid file."
    ),
    Complaint(
        re.compile('"daemon" directive is duplicate'), "Take that line out: the lab starts it in the foreground."
    ),
    Complaint(
        re.compile(r"get(?:pw|gr)nam\("),
        "There is no such user or group where it runs: take that line out, or name nginx or www-data, which the lab's "
        "images know.",
    ),
    Complaint(
        re.compile('directive is not allowed here|no "events" section'),
        "nginx takes it in other blocks only. The lab runs a whole configuration: `events {}`, and all else in "
        "`http { server { ... } }`.",
    ),
    Complaint(
        re.compile("host not found in"),
        "Your other hosts are not there: write ${MODEL} for the model server, and leave out what else is named.",
    ),
    Complaint(
        re.compile("cannot load certificate"),
        "Write ${CERTIFICATE} for ssl_certificate and for ssl_certificate_key: the lab makes one.",
    ),
    Complaint(
        re.compile(r"open\(\) .* failed \(2:"),
        "Put that file beside the configuration, and name it without a folder; the other files of that folder are "
        "copied along.",
    ),
)
"""Words of nginx 1.26 and 1.30; it names file and line itself."""

PRODUCT = Product(
    name="nginx",
    title="nginx",
    suffix=".conf",
    versions=(
        Version("1.26", "nginx:1.26.3", DebianPackage("trixie", "nginx")),
        Version("1.30", "nginx:1.30.6", DebianPackage("sid", "nginx")),
    ),
    command=_serve,
    version_command=("nginx", "-v"),
    version_pattern=r"nginx/(\d+\.\d+\.\d+)",
    signs=Signs(
        headers=(header("server", rf"^nginx{VERSION}"),),
        pages=(re.compile(r"<hr><center>nginx(?:/([\w.]+))?</center>"),),
    ),
    remedy=Remedy(
        "streaming.conf",
        {
            Trouble.HOLDING: ("proxy_http_version", "proxy_buffering", "gzip"),
            Trouble.COMPRESSION: ("proxy_buffering", "gzip"),
            Trouble.TIMEOUT: ("proxy_read_timeout",),
            Trouble.HIDDEN_CUT: ("proxy_http_version", "proxy_buffering"),
        },
    ),
    forks=("OpenResty",),
    snippets=Snippets("nginx", "/etc/nginx/snippets"),
    page=True,
    users=("nginx",),
    complaints=_REFUSALS,
    # Its workers serve as the user that `user` names, and what they write to is made theirs.
    capabilities=("CHOWN", "SETGID", "SETUID"),
    writable=("/var/lib/nginx", "/var/log/nginx"),
    at_home=_at_home,
    reload='kill -HUP "$1"',
    adapt=adapt,
    check=check,
    read_timeouts=read_timeouts,
    levers=(
        "proxy_ignore_client_abort off;",
        "proxy_intercept_errors off;",
        "proxy_next_upstream error timeout;",
        "proxy_ignore_headers X-Accel-Buffering;",
        "proxy_cache off;",
        "chunked_transfer_encoding on;",
        "client_max_body_size 8m;",
        "limit_rate 0;",
    ),
    # As in the official image: what has no log of its own speaks to the container's.
    prepare=("ln -s /dev/stdout /var/log/nginx/access.log", "ln -s /dev/stderr /var/log/nginx/error.log"),
)
