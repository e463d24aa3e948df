"""A run of four scenarios behind four proxies, made up but plausible: what every report is tested with.

It holds each outcome and each kind of picture at least once: a stream held back whole, bursts, a gap with
heartbeats, a cut, a silent truncation, a batch of random lengths, real defaults; and one of each fault.
"""

from __future__ import annotations

import random

from lab.results import (
    FORMAT_VERSION,
    CaseResult,
    ExchangeResult,
    FindingResult,
    ImageResult,
    ProductResult,
    ProxyResult,
    Results,
    ScenarioResult,
    SnippetResult,
)
from lab.vocabulary import Cause, Delivery, Ending, Group, Outcome

from . import texts
from .making import at_once, cut_after, exchange, finding, in_bursts, make_case, prompt, steady

AS_WRITTEN = "Tokens reach the client as they are written."
SILENCE = "A silence of the model does not end the answer."
WHOLE = "However long the answer is, it comes whole."
TELLING = "The client can tell half an answer from a whole one."

PACE = steady(24, 0.15)
PAUSE = [*steady(6, 0.12), *steady(10, 0.12, start=3.7)]
HALF = steady(10, 0.12)


def sample() -> Results:
    """The whole run."""
    return Results(
        format_version=FORMAT_VERSION,
        lab_version="0.1.0",
        started="2026-08-22T10:14:02+02:00",
        machine="Linux 6.12, 2 cores, x86_64",
        engine="Docker 29.1",
        wall_seconds=63.4,
        longest="idle-timeout::nginx-1.26::real-defaults",
        longest_seconds=60.71,
        real_defaults=True,
        products=(
            ProductResult("nginx", "nginx", texts.NGINX_BROKEN, (SnippetResult(texts.SNIPPET_PATH, texts.SNIPPET),)),
            ProductResult("haproxy", "HAProxy", texts.HAPROXY_BROKEN, ()),
            ProductResult("envoy", "Envoy", texts.ENVOY_BROKEN, ()),
        ),
        images=(
            ImageResult("nginx-1.26", "nginx:1.26.3", "sha256:4c1a5b7e0f2d", "1.26.3", "pulled"),
            ImageResult("nginx-1.30", "lab/nginx:1.30", "sha256:9e07c3d1aa54", "1.30.1", "built from Debian packages"),
            ImageResult("haproxy-3.2", "haproxy:3.2", "sha256:77d02b9f1c3e", "3.2.4", "already on the machine"),
            ImageResult("envoy-1.40", "lab/envoy:1.40", "sha256:0b61aa93fe82", "1.40.0", "built from a wheel"),
        ),
        scenarios=(_buffering(), _idle(), _total(), _died()),
    )


def _buffering() -> ScenarioResult:
    return ScenarioResult(
        id="holds-the-answer-back",
        title="The whole answer comes at once",
        group=Group.BUFFERING,
        requirement=AS_WRITTEN,
        readme=texts.BUFFERING,
        sources=("https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_buffering",),
        proxies=(
            ProxyResult("nginx-1.26", "nginx", _held_by_nginx()),
            ProxyResult("nginx-1.30", "nginx", (_streams("not-affected", "nginx/broken.conf", texts.NGINX_BROKEN),)),
            ProxyResult("haproxy-3.2", "haproxy", _held_by_haproxy()),
        ),
    )


def _held_by_nginx() -> tuple[CaseResult, ...]:
    held = exchange(
        at_once(PACE),
        "All 24 tokens came at once after 3.55 s; the model server had written the first at 0.10 s.",
        delivery=Delivery.BATCHED,
        cause=Cause.BUFFER,
    )
    broken = make_case(
        "broken",
        ("holds-the-answer-back/nginx/broken.conf", texts.NGINX_BROKEN),
        [held],
        [finding(AS_WRITTEN, "the first token is held back", "token 1 left at 0.10 s and arrived at 3.55 s")],
        log=("2026/08/22 10:14:03 [notice] 1#1: start worker processes",),
    )
    return (
        broken,
        _streams("fixed", "nginx/fixed.conf", texts.NGINX_FIXED),
        _streams("fixed-by-header", "nginx/fixed-by-header.conf", texts.NGINX_HEADER, "The model server asks for it"),
    )


def _held_by_haproxy() -> tuple[CaseResult, ...]:
    bursts = exchange(
        in_bursts(PACE, 0.45),
        "24 tokens came in 8 bursts of about 3, each up to 0.45 s late.",
        delivery=Delivery.COALESCED,
        cause=Cause.BUFFER,
    )
    broken = make_case(
        "broken",
        ("holds-the-answer-back/haproxy/broken.cfg", texts.HAPROXY_BROKEN),
        [bursts],
        [finding(AS_WRITTEN, "tokens come in bursts", "24 tokens in 8 bursts, the latest 0.45 s late")],
    )
    return broken, _streams("fixed", "haproxy/fixed.cfg", texts.HAPROXY_FIXED)


def _streams(label: str, file: str, config: str, title: str = "") -> CaseResult:
    """A case on which every token came at once."""
    good = exchange(prompt(PACE), "Each of the 24 tokens came within 4 ms of leaving.")
    met = finding(AS_WRITTEN, "every token is confirmed before the next one leaves", "24 of 24, the slowest after 4 ms")
    return make_case(label, (f"holds-the-answer-back/{file}", config), [good], [met], title=title)


def _idle() -> ScenarioResult:
    return ScenarioResult(
        id="idle-timeout",
        title="A silence while the model thinks cuts the answer",
        group=Group.TIMEOUTS,
        requirement=SILENCE,
        readme=texts.IDLE,
        sources=(),
        proxies=(
            ProxyResult("nginx-1.26", "nginx", _idle_nginx()),
            ProxyResult("haproxy-3.2", "haproxy", _idle_haproxy()),
            ProxyResult("envoy-1.40", "envoy", _idle_envoy()),
        ),
    )


def _cut_in_silence() -> ExchangeResult:
    return exchange(
        cut_after(PAUSE, 2.0),
        "The connection was closed in a silence of 2.00 s, after 6 of 16 tokens.",
        ending=Ending.CUT,
        cause=Cause.IDLE_TIMEOUT,
        total=2.704,
        transport_end="short-fin",
    )


def _was_cut(*, expected: bool) -> FindingResult:
    expectation = "cut after a silence of 2 s" if expected else "complete, 16 of 16 tokens"
    return finding(SILENCE, expectation, "cut after a silence of 2.00 s, 6 of 16 tokens", met=expected)


def _idle_nginx() -> tuple[CaseResult, ...]:
    whole = exchange(prompt(PAUSE), "The answer came whole across a silence of 3.00 s.")
    beats = tuple(1.0 + index * 0.5 for index in range(6))
    beating = exchange(prompt(PAUSE), "Heartbeats every 0.5 s kept the connection open.", heartbeats=beats)
    slow = exchange(
        cut_after([*steady(6, 0.12), *steady(10, 0.12, start=64.0)], 60.0),
        "With the product's own timeout the cut came after a silence of 60.0 s.",
        ending=Ending.CUT,
        cause=Cause.IDLE_TIMEOUT,
        total=60.71,
        transport_end="short-fin",
    )
    met = finding(SILENCE, "complete", "complete, 16 of 16 tokens, longest silence 3.00 s")
    broken = ("idle-timeout/nginx/broken.conf", texts.NGINX_BROKEN)
    return (
        make_case("broken", broken, [_cut_in_silence()], [_was_cut(expected=True)]),
        make_case("fixed", ("idle-timeout/nginx/fixed.conf", texts.NGINX_FIXED), [whole], [met]),
        make_case("fixed-heartbeats", broken, [beating], [met], title="The model server sends a comment every 0.5 s"),
        make_case(
            "real-defaults",
            ("idle-timeout/nginx/real-defaults.conf", texts.NGINX_BROKEN),
            [slow],
            [finding(SILENCE, "cut after 60 s", "cut after a silence of 60.0 s")],
        ),
    )


def _idle_haproxy() -> tuple[CaseResult, ...]:
    return (
        make_case(
            "broken",
            ("idle-timeout/haproxy/broken.cfg", texts.HAPROXY_BROKEN),
            [_cut_in_silence()],
            [_was_cut(expected=True)],
        ),
        make_case(
            "fixed",
            ("idle-timeout/haproxy/fixed.cfg", texts.HAPROXY_FIXED),
            [_cut_in_silence()],
            [_was_cut(expected=False)],
            outcome=Outcome.FAILED,
            log=(
                "<134>Aug 22 10:14:09 haproxy[1]: 172.18.0.1:41022 entry model/model 0/0/1/3/2704 200 1874 - - sD--",
                "\x1b[31mALERT\x1b[0m <script>alert('log')</script>",
            ),
        ),
    )


def _idle_envoy() -> tuple[CaseResult, ...]:
    return (
        make_case(
            "broken",
            ("idle-timeout/envoy/broken.yaml", texts.ENVOY_BROKEN),
            [_cut_in_silence()],
            [_was_cut(expected=True)],
        ),
        make_case(
            "fixed",
            ("idle-timeout/envoy/fixed.yaml", texts.ENVOY_FIXED),
            outcome=Outcome.SET_UP_FAILED,
            problem="envoy-1.40 refused fixed.yaml: no such field: 'stream_idle_timeouts'",
            log=("[critical][main] error initializing configuration 'fixed.yaml'",),
        ),
    )


def generations(timeout: float | None) -> list[ExchangeResult]:
    """Sixteen answers of random length, cut at `timeout` seconds if there is one; the same lengths each time."""
    lengths = random.Random(7)
    return [_generation(number, steady(int(lengths.uniform(8, 62)), 0.06), timeout) for number in range(1, 17)]


def _generation(number: int, pace: list[float], timeout: float | None) -> ExchangeResult:
    name = f"answer-{number:02}"
    if timeout is None or pace[-1] < timeout:
        return exchange(prompt(pace), "The answer came whole.", name=name)
    return exchange(
        cut_after(pace, timeout),
        "The answer was cut by a timeout on the whole reply.",
        name=name,
        ending=Ending.CUT,
        cause=Cause.TOTAL_TIMEOUT,
        total=timeout,
        transport_end="reset",
    )


def _total() -> ScenarioResult:
    skipped = make_case(
        "not-affected",
        ("total-timeout/haproxy/broken.cfg", texts.HAPROXY_BROKEN),
        outcome=Outcome.SKIPPED,
        problem="no image for haproxy-3.2 on this machine, and --offline was given",
    )
    return ScenarioResult(
        id="total-timeout",
        title="Only the long answers fail",
        group=Group.TIMEOUTS,
        requirement=WHOLE,
        readme=texts.TOTAL,
        sources=("https://www.envoyproxy.io/docs/envoy/latest/faq/configuration/timeouts",),
        proxies=(
            ProxyResult("haproxy-3.2", "haproxy", (skipped,)),
            ProxyResult("envoy-1.40", "envoy", _total_envoy()),
        ),
    )


def _total_envoy() -> tuple[CaseResult, ...]:
    broken, fixed = generations(2.0), generations(None)
    cut = sum(one.ending is Ending.CUT for one in broken)
    return (
        make_case(
            "broken",
            ("total-timeout/envoy/broken.yaml", texts.ENVOY_BROKEN),
            broken,
            [finding(WHOLE, "answers longer than 2 s are cut at 2 s", f"{cut} of 16 cut, all at 2.00 s")],
        ),
        make_case(
            "fixed",
            ("total-timeout/envoy/fixed.yaml", texts.ENVOY_FIXED),
            fixed,
            [finding(WHOLE, "16 of 16 complete", "16 of 16 complete")],
        ),
    )


def _died() -> ScenarioResult:
    inconclusive = make_case(
        "not-affected",
        ("died-in-the-middle/haproxy/broken.cfg", texts.HAPROXY_BROKEN),
        [_cut_seen()],
        outcome=Outcome.INCONCLUSIVE,
        problem="the probe itself was 0.41 s late at token 7: this machine was too busy to judge",
    )
    harness = make_case(
        "not-affected",
        ("died-in-the-middle/envoy/broken.yaml", texts.ENVOY_BROKEN),
        outcome=Outcome.HARNESS_FAILED,
        problem="the model server's ledger has no entry for this exchange",
    )
    shown = finding(TELLING, "the cut is visible", "short FIN after 10 tokens")
    config = ("died-in-the-middle/nginx/broken.conf", texts.NGINX_BROKEN)
    return ScenarioResult(
        id="died-in-the-middle",
        title="Half an answer looks like a whole one",
        group=Group.PARTIAL,
        requirement=TELLING,
        readme=texts.DIED,
        sources=(),
        proxies=(
            ProxyResult("nginx-1.26", "nginx", _died_nginx(shown)),
            ProxyResult("nginx-1.30", "nginx", (make_case("not-affected", config, [_cut_seen()], [shown]),)),
            ProxyResult("haproxy-3.2", "haproxy", (inconclusive,)),
            ProxyResult("envoy-1.40", "envoy", (harness,)),
        ),
    )


def _cut_seen() -> ExchangeResult:
    return exchange(
        prompt(HALF),
        "10 of 24 tokens came, then the connection ended inside a chunked body: the client sees the cut.",
        ending=Ending.CUT,
        cause=Cause.MODEL_DIED,
        transport_end="short-fin",
    )


def _died_nginx(shown: FindingResult) -> tuple[CaseResult, ...]:
    silent = exchange(
        at_once(HALF),
        "10 of 24 tokens came, then a clean end without the terminal marker: the client cannot see the loss.",
        delivery=Delivery.BATCHED,
        ending=Ending.SILENTLY_TRUNCATED,
        cause=Cause.MODEL_DIED,
        transport_end="closed",
        flags=("delimited by close",),
    )
    return (
        make_case(
            "broken",
            ("died-in-the-middle/nginx/broken.conf", texts.NGINX_BROKEN),
            [silent],
            [finding(TELLING, "silently truncated", "status 200, clean end, 10 of 24 tokens, no marker")],
        ),
        make_case("fixed", ("died-in-the-middle/nginx/fixed.conf", texts.NGINX_FIXED), [_cut_seen()], [shown]),
    )
