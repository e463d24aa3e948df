"""What stands in the way of an active audit, in words with a remedy. Pure."""

from __future__ import annotations

from lab.endpoint.stops import quoted
from lab.errors import EnvironmentFault
from lab.evidence import Evidence, TransportEnd
from lab.judge.endings import NEVER_OPENED
from lab.judge.sentences import never_reached, refused_in_words
from lab.measure.target import AuditTarget
from lab.probe.side_channel import SideChannelFault


def not_in_the_ledger(target: AuditTarget, evidence: Evidence, lost: int, of: int) -> EnvironmentFault:
    """Why exchanges are not in the ledger, as far as one of them tells."""
    url, trace = target.endpoint.route.url, evidence.trace
    if trace.end in NEVER_OPENED or trace.end is TransportEnd.CONNECT_TIMEOUT:
        return EnvironmentFault(
            f"{url}: cannot be reached: {trace.detail or trace.end}", "Look at address and network."
        )
    if trace.status is not None and trace.status != 200:
        some = f"{lost} of {of} exchanges did not reach the model server" if lost < of else ""
        words = refused_in_words(evidence) or some or never_reached([evidence])
        said = f"; it says: {quoted(trace)}" if quoted(trace) else ""
        remedy = _ABOUT_STATUS.get(
            trace.status, "Look at the path: the lab's model server (lab serve) must stand behind it."
        )
        if some and trace.status >= 500:
            remedy = _SOME_OUT
        return EnvironmentFault(f"{url}: answers {trace.status}: {words}{said}", remedy)
    if lost < of:
        return EnvironmentFault(
            f"{url}: the ledger at {target.side_url} has only {of - lost} of {of} requests, "
            "so several model servers stand behind the path",
            "Let one replica stand there, or give its own address with --model-url.",
        )
    return EnvironmentFault(
        f"{url}: an answer came, but the ledger at {target.side_url} knows nothing of it",
        "Either another model stands behind the path than at that address, or a hop changes the user's message and "
        "takes X-Lab-Request and X-Lab-Plan out of the request's headers: let one of them pass.",
    )


_BACK = (
    "It answered before: the path refuses requests or lets them wait. After a failure, and the audit provokes some, a "
    "load balancer may take its server out for a while (nginx max_fails, HAProxy observe, Envoy outlier detection). "
    "Give the model server's own address with --model-url, so that nothing else depends on the path, or audit with "
    "--at-once 1."
)

_SOME_OUT = (
    "A load balancer may have taken a server out for a while (nginx max_fails, HAProxy observe, Envoy outlier "
    "detection): wait until it is back, or look which of its servers does not answer."
)

_ABOUT_STATUS = {
    401: "Give the model server's secret with --secret-file or LAB_SECRET, and the gateway's key with --key-env. If "
    "both are right, the path may have taken one out of the request's headers: some proxies drop Authorization.",
    403: "Give the gateway's key with --key-env.",
    404: "Look at the path of the address.",
    429: "The path limits requests: ask for fewer at a time with --at-once.",
    502: "The path does not reach the model server: start it with lab serve.",
    503: "The path does not reach the model server: start it with lab serve.",
    504: "The path does not reach the model server: start it with lab serve.",
}


def too_narrow(target: AuditTarget) -> EnvironmentFault:
    """A path that takes one request at a time has no place for what lockstep needs beside it."""
    return EnvironmentFault(
        f"{target.endpoint.route.url}: the path takes 1 request at a time, so that nothing can be confirmed through it "
        "while a stream runs",
        "Give the model server's own address with --model-url.",
    )


def masked_fault(target: AuditTarget, fault: SideChannelFault) -> EnvironmentFault:
    """What answers on the side channel is no model server's, without the secrets."""
    return EnvironmentFault(target.mask.text(fault.problem), fault.remedy)


def stopped_answering(target: AuditTarget, error: Exception) -> EnvironmentFault:
    """The side channel answered first, and does not any more."""
    why = str(error) or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)
    fault = no_ledger(target, f"stopped answering: {why}")
    return EnvironmentFault(fault.problem, _BACK) if target.model_url is None else fault


def no_ledger(target: AuditTarget, what: str, *, status: int = 0) -> EnvironmentFault:
    """The side channel does not answer as it should."""
    place = f"the model server's side channel at {target.side_url}/lab/"
    remedy = _ABOUT_STATUS[401] if status == 401 else "Start the model server with lab serve"
    if status != 401:
        remedy += (
            ", and let the path pass /lab/ on, or give --model-url."
            if target.model_url is None
            else " at that address."
        )
    return EnvironmentFault(target.mask.text(f"{place} {what}"), remedy)
