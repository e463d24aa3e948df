"""Scenarios of a user's own, in a folder outside the repository: nginx 1.26 holds a stream back."""

from __future__ import annotations

from pathlib import Path

TABLE = """
title = "A stream is held until its end"
group = "buffering"
requirement = "delivers-tokens-as-they-come"

[exchanges.stream]
plan = { tokens = 10, interval = "20ms", lockstep = true, hold = "2s" }

[symptom.stream]
delivery = "batched"
"""
"""nginx 1.26 asks with HTTP/1.0 unless told otherwise, and then collects the reply."""

LONG = TABLE.replace('tokens = 10, interval = "20ms", lockstep = true, hold = "2s"', 'tokens = 200, interval = "50ms"')
"""The same with ten seconds of answer, to be disturbed in the middle."""

HELD = ""
HANDED_ON = "proxy_http_version 1.1;"
REFUSED = "no_such_directive on;"

CONFIG = """\
events {}
http {
    server {
        listen ${PORT};
        location / {
            proxy_pass http://${MODEL};
            DIRECTIVE
        }
    }
}
"""


def write_scenario(folder: Path, *, table: str = TABLE, fixed: str = HANDED_ON) -> Path:
    """Lay out a scenario.

    Args:
        folder: its name is the scenario's.
        table: the text of `scenario.toml`.
        fixed: the directive that the fixed configuration adds.
    """
    (folder / "nginx").mkdir(parents=True)
    (folder / "README.md").write_text("# A story\n")
    (folder / "scenario.toml").write_text(table)
    (folder / "nginx" / "expected.toml").write_text('[broken]\nbefore = "1.29.7"\n')
    for case, directive in (("broken", HELD), ("fixed", fixed)):
        (folder / "nginx" / f"{case}.conf").write_text(CONFIG.replace("DIRECTIVE", directive))
    return folder
