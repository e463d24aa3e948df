from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from lab.catalogue import Scenario, discover, load_scenario
from lab.catalogue.scenario import Restart
from lab.errors import BadInput, ExitCode
from lab.evidence import HttpVersion
from lab.products import PRODUCTS
from lab.vocabulary import Cause, Ending, Variant

TABLE = """
title = "A title"
group = "timeouts"
requirement = "survives-silence"

[exchanges.gap]
plan = { tokens = 10, gaps = ["6@4s"] }

[symptom.gap]
ending = "cut"
cause = "idle-timeout"
"""
FILES = ("nginx/broken.conf", "nginx/fixed.conf")
OLDER = {"nginx": '[broken]\nbefore = "1.29.7"\n'}
"""One version of the product is enough to see what becomes of it."""


def write(
    folder: Path, table: str = TABLE, files: tuple[str, ...] = FILES, expected: Mapping[str, str] = OLDER
) -> Path:
    """Lay out a scenario in a folder; `expected` is by product."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "README.md").write_text("# A story\n")
    (folder / "scenario.toml").write_text(table)
    for name in files:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("listen ${PORT};\n")
    for product, text in expected.items():
        (folder / product / "expected.toml").write_text(text)
    return folder


def load(folder: Path, table: str = TABLE, files: tuple[str, ...] = FILES, **expected: str) -> Scenario:
    """Lay out a scenario and read it."""
    return load_scenario(write(folder, table, files, {**OLDER, **expected}))


class TestGoodScenario:
    def test_unfolds_into_one_staging_a_side_and_proxy(self, tmp_path: Path) -> None:
        """Folder, proxy and label make the id by which everything else names a case."""
        scenario = load(tmp_path / "silent")
        assert [case.id for case in scenario.cases] == [
            "silent::nginx-1.26::broken",
            "silent::nginx-1.26::fixed",
        ]

    def test_broken_side_carries_its_symptom_and_fixed_side_none(self, tmp_path: Path) -> None:
        """What is expected of the broken variant must never be expected of the fixed one."""
        broken, fixed = load(tmp_path / "silent").cases
        assert (broken.symptom["gap"].ending, broken.symptom["gap"].cause) == (Ending.CUT, Cause.IDLE_TIMEOUT)
        assert fixed.symptom == {}

    def test_a_proxys_own_symptom_overrides_the_common_one(self, tmp_path: Path) -> None:
        """Proxies fail in different ways for the same reason."""
        own = OLDER["nginx"] + '[broken.symptom.gap]\nending = "proxy-error-status"\n'
        assert load(tmp_path / "silent", nginx=own).cases[0].symptom["gap"].ending is Ending.PROXY_ERROR_STATUS

    def test_versions_multiply_the_cases(self, tmp_path: Path) -> None:
        """Without a word about them all versions of a product use the product's one folder."""
        (folder := write(tmp_path / "silent") / "nginx" / "expected.toml").unlink()
        ids = [case.id for case in load_scenario(folder.parents[1]).cases]
        assert ids == [
            f"silent::nginx-{version}::{variant}" for version in ("1.26", "1.30") for variant in ("broken", "fixed")
        ]

    def test_versions_are_divided_by_a_number(self, tmp_path: Path) -> None:
        """Since 1.29.7 comes 1.30, and 1.26 before it, whatever the numbers look like as text."""
        expected = '[broken]\nbefore = "1.29.7"\n[not_affected]\nsince = "1.29.7"\nwhy = "it waits"\n'
        ids = [case.id for case in load(tmp_path / "silent", files=FILES, nginx=expected).cases]
        assert ids == ["silent::nginx-1.26::broken", "silent::nginx-1.26::fixed", "silent::nginx-1.30::not-affected"]

    def test_a_fix_may_be_of_no_use_to_a_product(self, tmp_path: Path) -> None:
        """Which one, and why, stands with the product."""
        table = TABLE + '[fixes.heartbeats]\nplan = { heartbeat = "500ms" }\n'
        expected = OLDER["nginx"] + 'without = { heartbeats = "it does not hear them" }\n'
        labels = [case.label for case in load(tmp_path / "silent", table, nginx=expected).cases]
        assert labels == ["broken", "fixed"]

    def test_of_several_each_may_wait_for_the_one_before(self, tmp_path: Path) -> None:
        """The first waits for none."""
        scenario = load(
            tmp_path / "silent", TABLE.replace("[exchanges.gap]", "[exchanges.gap]\ntimes = 3\nin_turn = true")
        )
        waits = {each.name: each.after for each in scenario.cases[0].exchanges if each.family == "gap"}
        assert waits == {"gap-01": "", "gap-02": "gap-01", "gap-03": "gap-02"}

    def test_a_fix_may_spread_what_begins_at_once(self, tmp_path: Path) -> None:
        """Clients with jitter; the proxy's file stays the same one."""
        table = TABLE.replace("[exchanges.gap]", "[exchanges.gap]\ntimes = 3") + '[fixed]\nevery = { gap = "1s" }\n'
        broken, fixed = load(tmp_path / "silent", table, files=("nginx/broken.conf",)).cases
        assert [[each.delay for each in case.exchanges if each.family == "gap"] for case in (broken, fixed)] == [
            [0.0, 0.0, 0.0],
            [0.0, 1.0, 2.0],
        ]
        with pytest.raises(BadInput, match="no such exchange"):
            load(tmp_path / "other", table.replace("{ gap =", "{ gapp ="), files=("nginx/broken.conf",))

    def test_several_may_share_the_connections_of_one_client(self, tmp_path: Path) -> None:
        """All that bear the exchange's name."""
        table = TABLE.replace("[exchanges.gap]", "[exchanges.gap]\ntimes = 3\nconnections = 2")
        shared = [each for each in load(tmp_path / "silent", table).cases[0].exchanges if each.family == "gap"]
        assert [each.connections for each in shared] == [2, 2, 2]

    def test_a_client_may_stop_reading_for_a_while(self, tmp_path: Path) -> None:
        """For some time, and not for none."""
        table = TABLE.replace("[exchanges.gap]", '[exchanges.gap]\npause = "2s"')
        assert load(tmp_path / "silent", table).cases[0].exchanges[0].pause == 2.0
        with pytest.raises(BadInput, match="pause"):
            load(tmp_path / "never", table.replace('"2s"', '"0s"'))

    def test_a_client_may_ask_over_a_connection_that_it_has_kept(self, tmp_path: Path) -> None:
        """It is asked once that has rested, which is a time like any other."""
        table = TABLE.replace("[exchanges.gap]", '[exchanges.gap]\ndelay = "1s"\nkept = "2s"')
        case = load(tmp_path / "silent", table).cases[0]
        kept = next(each for each in case.exchanges if each.family == "gap")
        assert (kept.kept, kept.asked_after) == (2.0, 3.0)
        assert replace(case, exchanges=(replace(kept, delay=0.0), replace(kept, name="new", kept=None))).timed
        assert replace(case, exchanges=(kept, replace(kept, name="new", kept=None, delay=3.0))).timed
        assert not replace(case, exchanges=(kept, replace(kept, name="another"))).timed
        with pytest.raises(BadInput, match="kept"):
            load(tmp_path / "never", table.replace('"2s"', '"0s"'))

    def test_a_fix_of_the_model_servers_takes_the_broken_configuration(self, tmp_path: Path) -> None:
        """A model server that is started anew ends its answers first, and the proxy's file stays the same one."""
        table = 'restart = { at = "1s", down = "2s" }\n' + TABLE + "[fixed]\ndrain = true\n"
        broken, fixed = load(tmp_path / "silent", table, files=("nginx/broken.conf",)).cases
        assert broken.config == fixed.config
        assert (broken.restart, fixed.restart) == (Restart(1.0, 2.0, drain=False), Restart(1.0, 2.0, drain=True))

    @pytest.mark.parametrize("which", ["default", "recommended"])
    def test_a_variant_may_take_the_products_own_configuration(self, tmp_path: Path, which: str) -> None:
        """It stands once, in the product's folder."""
        table = TABLE + f'[fixed]\nconfig = "{which}"\n[fixes.own]\nconfig = "{which}"\n'
        _, fixed, way = load(tmp_path / "silent", table, files=("nginx/broken.conf",)).cases
        assert fixed.config == way.config == getattr(PRODUCTS["nginx"], which)

    def test_a_fix_outside_the_proxy_takes_the_broken_configuration(self, tmp_path: Path) -> None:
        """Where the remedy is the model server's, the proxy's file must stay the same one."""
        table = TABLE + '[fixes.heartbeats]\nplan = { heartbeat = "500ms" }\n'
        fix = load(tmp_path / "silent", table).cases[2]
        assert fix.config.name == "broken.conf"
        assert fix.exchanges[0].plan.heartbeat == 0.5
        assert fix.exchanges[0].plan.gaps[0].length == 4.0

    def test_a_proxy_that_is_not_affected_has_one_variant(self, tmp_path: Path) -> None:
        """There is nothing to fix where nothing breaks, but it is shown all the same."""
        expected = '[not_affected]\nwhy = "it waits"\n'
        not_affected = load(tmp_path / "silent", files=(*FILES, "envoy/not-affected.yaml"), envoy=expected).cases[0]
        assert (not_affected.variant, not_affected.label, not_affected.title) == (
            Variant.NOT_AFFECTED,
            "not-affected",
            "it waits",
        )

    def test_random_lengths_stand_on_both_sides_of_the_timeout_and_clear_of_it(self, tmp_path: Path) -> None:
        """A generation that ends near the timeout would make the verdict depend on the machine."""
        lengths = 'lengths = { count = 12, least = "300ms", most = "4s", clear_of = "2s", seed = 3 }'
        table = TABLE.replace('plan = { tokens = 10, gaps = ["6@4s"] }', f'plan = {{ interval = "50ms" }}\n{lengths}')
        exchanges = load(tmp_path / "silent", table).cases[0].exchanges
        ends = [(exchange.plan.tokens - 1) * 0.05 for exchange in exchanges]
        assert len({exchange.name for exchange in exchanges}) == 12
        assert min(ends) < 2.0 < max(ends)
        assert all(abs(end - 2.0) > 0.45 for end in ends)

    def test_real_defaults_are_a_side_of_their_own(self, tmp_path: Path) -> None:
        """The unshortened timeout has its own file, its own plan and its own symptom."""
        table = TABLE + '[real_defaults.exchanges]\ngap = { gaps = ["6@70s"] }\n'
        own = OLDER["nginx"] + '[real_defaults.symptom.gap]\nending = "cut"\ntimeout = "60s"\n'
        variant = load(tmp_path / "silent", table, files=(*FILES, "nginx/real-defaults.conf"), nginx=own).cases[-1]
        assert variant.variant is Variant.REAL_DEFAULTS
        assert variant.exchanges[0].plan.gaps[0].length == 70.0
        assert variant.symptom["gap"].timeout == 60.0


class TestBadScenario:
    @pytest.mark.parametrize(
        ("change", "named"),
        [
            (("title =", "titel ="), "titel"),
            (('title = "A title"', ""), "title"),
            (('group = "timeouts"', 'group = "slowness"'), "group"),
            (("survives-silence", "survives-everything"), "requirement"),
            (("tokens = 10", "tokens = -1"), "exchanges.gap.plan.tokens"),
            (("tokens = 10", "tokns = 10"), "exchanges.gap.plan.tokns"),
            (("6@4s", "60@4s"), "exchanges.gap.plan.gaps"),
            (("[symptom.gap]", "[symptom.gasp]"), "symptom.gasp"),
            (('ending = "cut"', 'ending = "chopped"'), "symptom.gap.ending"),
            (("[exchanges.gap]", "[exchanges.gap]\nwire_format = 'morse'"), "exchanges.gap.wire_format"),
            (("[symptom.gap]", "[fixes.x]\nexchanges = { gasp = {} }\n[symptom.gap]"), "fixes.x.exchanges.gasp"),
            (("[symptom.gap]", "[fixes.x]\ntitle = 'another'\n[symptom.gap]"), "fixes.x: no product"),
            (("[symptom.gap]", "[real_defaults]\nexchanges = { gasp = {} }\n[symptom.gap]"), "exchanges.gasp"),
            (("[symptom.gap]", "[fixed]\nconfig = 'best'\n[symptom.gap]"), "fixed.config"),
            (('title = "A title"', 'title = "A title'), "no TOML"),
        ],
    )
    def test_message_names_file_and_key(self, tmp_path: Path, change: tuple[str, str], named: str) -> None:
        """Whoever writes a scenario must not have to search for the mistake."""
        old, new = change
        assert old in TABLE
        with pytest.raises(BadInput) as caught:
            load(tmp_path / "silent", TABLE.replace(old, new))
        assert str(tmp_path / "silent" / "scenario.toml") in caught.value.problem
        assert named in caught.value.problem
        assert caught.value.exit_code == ExitCode.BAD_INPUT

    @pytest.mark.parametrize("missing", ["broken", "fixed"])
    def test_a_missing_side_is_named(self, tmp_path: Path, missing: str) -> None:
        """A scenario without one of its variants proves nothing."""
        (there,) = {"broken", "fixed"} - {missing}
        with pytest.raises(BadInput, match=f"nginx/{missing}.conf: the file is missing"):
            load(tmp_path / "silent", files=(f"nginx/{there}.conf",))

    def test_a_missing_story_is_named(self, tmp_path: Path) -> None:
        """The story is part of the scenario."""
        folder = write(tmp_path / "silent")
        (folder / "README.md").unlink()
        with pytest.raises(BadInput, match="README"):
            load_scenario(folder)

    def test_a_broken_side_without_symptom_is_refused(self, tmp_path: Path) -> None:
        """Such a variant would pass whatever happened."""
        table = TABLE.replace('[symptom.gap]\nending = "cut"\ncause = "idle-timeout"\n', "")
        with pytest.raises(BadInput, match="symptom"):
            load(tmp_path / "silent", table)


class TestDiscover:
    def test_a_folder_without_scenarios_is_refused(self, tmp_path: Path) -> None:
        """An empty catalogue must not look like a green one."""
        with pytest.raises(BadInput, match="scenario.toml"):
            discover(tmp_path)

    def test_who_names_a_scenario_reads_no_other(self, tmp_path: Path) -> None:
        """A faulty one beside it does not matter then; where a name fits none, all are read, to be listed."""
        write(tmp_path / "silent")
        write(tmp_path / "other")
        (tmp_path / "other" / "scenario.toml").write_text("nonsense")
        assert [each.id for each in discover(tmp_path, names=["silent::nginx"])] == ["silent"]
        for names in ([], ["silent", "absent"]):
            with pytest.raises(BadInput, match="other"):
                discover(tmp_path, names=names)

    def test_two_scenarios_of_one_name_are_refused(self, tmp_path: Path) -> None:
        """The folder's name is the id."""
        write(tmp_path / "a" / "silent")
        write(tmp_path / "b" / "silent")
        with pytest.raises(BadInput, match="silent"):
            discover(tmp_path)

    @pytest.mark.parametrize(
        ("expected", "named"),
        [
            ("[broken.symptom.gasp]\nending = 'cut'\n", "broken.symptom.gasp"),
            ("[real_defaults.symptom.gap]\nending = 'cut'\n", "real_defaults"),
            ("[broken]\nbefore = '0.9'\n", "no version of nginx"),
            ("[broken]\nsince = 'yesterday'\n", "broken.since"),
            ("[broken]\n[not_affected]\nwhy = 'x'\n", "1.26, 1.30 is both"),
            ("[broken]\nwithout = { prayer = 'x' }\n", "broken.without.prayer"),
            ("[not_affected]\n", "not_affected.why"),
            ("[proxies.nginx]\n", "unknown key proxies"),
        ],
    )
    def test_what_is_expected_of_a_product_is_checked_as_well(self, tmp_path: Path, expected: str, named: str) -> None:
        """The message names the product's file and the key."""
        with pytest.raises(BadInput) as caught:
            load(tmp_path / "silent", nginx=expected)
        assert str(tmp_path / "silent" / "nginx" / "expected.toml") in caught.value.problem
        assert named in caught.value.problem

    def test_a_folder_of_no_product_is_refused(self, tmp_path: Path) -> None:
        """A misspelt product would be left out without a word."""
        with pytest.raises(BadInput, match=r"ngnix: unknown product 'ngnix'"):
            load(tmp_path / "silent", files=(*FILES, "ngnix/broken.conf"))

    def test_a_configuration_that_no_case_has_is_refused(self, tmp_path: Path) -> None:
        """It would never be run, and nobody would know."""
        with pytest.raises(BadInput, match=r"fixed-buffering-of\.conf: no variant"):
            load(tmp_path / "silent", files=(*FILES, "nginx/fixed-buffering-of.conf"))

    def test_a_scenario_without_a_product_is_refused(self, tmp_path: Path) -> None:
        """There would be nothing to run."""
        with pytest.raises(BadInput, match="no product takes part"):
            load_scenario(write(tmp_path / "silent", files=(), expected={}))


SECURE = TABLE.replace("[exchanges.gap]\n", '[exchanges.gap]\nhttp = "2"\n')


def test_http_2_is_asked_where_there_is_a_certificate(tmp_path: Path) -> None:
    """The table says the version, and the configuration that it speaks TLS."""
    folder = write(tmp_path / "silent", SECURE)
    for name in FILES:
        (folder / name).write_text("listen ${PORT} ssl; ssl_certificate ${CERTIFICATE};\n")
    exchanges = [each for case in load_scenario(folder).cases for each in case.exchanges]
    assert [each.http for each in exchanges] == [HttpVersion.HTTP_2] * 2


def test_http_2_without_a_certificate_is_refused(tmp_path: Path) -> None:
    """Left out, it would leave a case that shows nothing."""
    with pytest.raises(BadInput, match=r"exchanges\.gap: HTTP/2 needs TLS, and .*broken\.conf has no"):
        load(tmp_path / "silent", SECURE)


def test_a_connection_over_tls_is_not_kept(tmp_path: Path) -> None:
    """The probe cannot; a new one in its place would show something else."""
    folder = write(tmp_path / "silent", SECURE.replace('http = "2"', 'kept = "1s"'))
    for name in FILES:
        (folder / name).write_text("listen ${PORT} ssl; ssl_certificate ${CERTIFICATE};\n")
    with pytest.raises(BadInput, match=r"exchanges\.gap\.kept: only a plain connection is kept, and .*\.conf has"):
        load_scenario(folder)


def test_a_product_whose_failure_nobody_describes_is_named(tmp_path: Path) -> None:
    """What all products show may stand with the scenario, what one shows in its own folder: it says where."""
    with pytest.raises(BadInput, match=r"broken variant of nginx shows") as caught:
        load(tmp_path / "silent", TABLE.partition("[symptom")[0])
    assert "nginx/expected.toml" in str(caught.value.remedy)


def test_a_symptom_over_http_2_needs_a_certificate_too(tmp_path: Path) -> None:
    """Of the suite, what needs TLS is left out in clear text, and then nothing would show the symptom."""
    table = """
title = "A title"
group = "buffering"
requirement = "delivers-tokens-as-they-come"
suite = true

[symptom.tokens-over-http-2]
delivery = "batched"
"""
    with pytest.raises(BadInput, match=r"exchanges\.tokens-over-http-2: HTTP/2 needs TLS"):
        load(tmp_path / "silent", table)
