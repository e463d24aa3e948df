"""What changes from one target to another: in words that are written down, and through two versions of nginx."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from lab.cli import main
from lab.errors import BadInput, ExitCode
from lab.judge import Observation
from lab.products.adapted import EntranceWish
from lab.verify.migrate import ChangeKind, changes
from lab.verify.template import template
from lab.vocabulary import Requirement, State

SILENCE, CUT, ERRORS = (
    Requirement.SURVIVES_SILENCE,
    Requirement.SHOWS_A_CUT_AS_A_CUT,
    Requirement.PASSES_ERRORS_ON,
)
MET, NOT_MET, UNSURE = State.MET, State.NOT_MET, State.INCONCLUSIVE


def observed(states: Mapping[Requirement, State]) -> dict[Requirement, Observation]:
    """Observations in these states."""
    return {each: Observation(each, state, "", "") for each, state in states.items()}


def test_what_is_worse_comes_first_and_what_stays_is_left_out() -> None:
    """Better, worse, and what cannot be told of one of them."""
    before = observed({SILENCE: NOT_MET, CUT: MET, ERRORS: MET, Requirement.GENERATES_ONCE: UNSURE})
    after = observed({SILENCE: MET, CUT: NOT_MET, ERRORS: MET, Requirement.GENERATES_ONCE: MET})
    found = [(each.kind, each.before.requirement) for each in changes(before, after)]
    assert found == [
        (ChangeKind.WORSE, CUT),
        (ChangeKind.BETTER, SILENCE),
        (ChangeKind.CANNOT_TELL, Requirement.GENERATES_ONCE),
    ]


@pytest.mark.usefixtures("own_signals")
@pytest.mark.parametrize("target", ["nginx", "nginx:", "squid:./x", "nginx:0.8:./x", "nginx:./no-such-file"])
def test_a_target_that_makes_no_sense_is_one_message(target: str, tmp_path: Path) -> None:
    """Exit code 2, before anything is started."""
    file = tmp_path / "nginx.conf"
    file.write_text("server { listen 80; location / { proxy_pass http://m; } }")
    assert main(["migrate", target, f"nginx:{file}"]) == ExitCode.BAD_INPUT


def test_files_that_cannot_be_read_as_they_are_need_the_labs_names(tmp_path: Path) -> None:
    """With them they are run as they are."""
    file = tmp_path / "httpd.conf"
    file.write_text("port: 80")
    with pytest.raises(BadInput, match="not read as they are yet"):
        template(file, EntranceWish())
    file.write_text("port: ${PORT}")
    adapter = template(file, EntranceWish(path="/v1/messages"))
    (entrance,) = adapter.entrances
    assert (entrance.path, adapter.copy(entrance), adapter.tunable) == ("/v1/messages", "port: ${PORT}", False)


@pytest.mark.engine
@pytest.mark.grid
@pytest.mark.usefixtures("own_signals")
def test_the_same_file_is_better_off_with_a_newer_nginx(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """1.30 asks with HTTP/1.1 by default, so that a model's death is seen; the way back is worse."""
    file = tmp_path / "nginx.conf"
    file.write_text("server { listen 80; location / { proxy_pass http://model:8000; proxy_buffering off; } }")
    old, new = f"nginx:1.26:{file}", f"nginx:1.30:{file}"
    assert main(["migrate", old, new]) == ExitCode.AS_REQUIRED
    assert "better  shows-a-cut-as-a-cut" in capsys.readouterr().out
    assert main(["migrate", new, old]) == ExitCode.REQUIREMENT_FAILED
    assert "worse  shows-a-cut-as-a-cut" in capsys.readouterr().out


ENVOY = """\
static_resources:
  listeners:
  - address: {socket_address: {address: 0.0.0.0, port_value: 80}}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: main
          route_config:
            virtual_hosts:
            - {name: all, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: model, timeout: 3s}}]}
          http_filters:
          - name: router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: model
    type: STRICT_DNS
    load_assignment:
      cluster_name: model
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: model, port_value: 80}}}}]}]
"""


@pytest.mark.engine
@pytest.mark.grid
@pytest.mark.usefixtures("own_signals")
def test_an_idle_timeout_becomes_a_total_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A route's time-out in Envoy ends what nginx's read timeout of the same length lets finish."""
    before, after = tmp_path / "nginx.conf", tmp_path / "envoy.yaml"
    before.write_text(
        "server { listen 80; location / { proxy_pass http://model:80; proxy_buffering off; proxy_read_timeout 3s; } }"
    )
    after.write_text(ENVOY)
    assert main(["migrate", f"nginx:{before}", f"envoy:{after}"]) == ExitCode.REQUIREMENT_FAILED
    told = capsys.readouterr().out
    assert "worse  lets-long-answers-finish" in told
    assert told.count("worse  ") == 1


@pytest.mark.engine
@pytest.mark.grid
@pytest.mark.usefixtures("own_signals")
def test_what_nginx_holds_by_default_caddy_hands_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two files of a few lines; nothing is worse on the way from one to the other."""
    before, after = tmp_path / "nginx.conf", tmp_path / "Caddyfile"
    before.write_text("server { listen 80; location / { proxy_pass http://model:80; } }")
    after.write_text(":80 {\n\treverse_proxy model:80\n}\n")
    assert main(["migrate", f"nginx:{before}", f"caddy:{after}"]) == ExitCode.AS_REQUIRED
    assert "better  delivers-tokens-as-they-come" in capsys.readouterr().out
