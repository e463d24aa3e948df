"""Products that the lab recognises by what they leave in a reply, and does not run.

One that gets a folder of its own leaves this table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from lab.products._product import VERSION, Signs, header

OTHERS: Mapping[str, Signs] = MappingProxyType(
    {
        "OpenResty": Signs(
            (header("server", rf"^openresty{VERSION}"),),
            (re.compile(r"<hr><center>openresty(?:/([\w.]+))?</center>"),),
        ),
        "Istio": Signs((header("server", r"^istio-envoy"),)),
        "Varnish": Signs(
            (header("x-varnish"), header("via", r"\bvarnish\b(?:.*Varnish/([\d.]+))?")),
            (re.compile(r"<p>Varnish cache server</p>"),),
        ),
        "Squid": Signs((header("via", rf"\bsquid{VERSION}"),)),
        "IIS": Signs((header("server", rf"^microsoft-iis{VERSION}"),)),
        "Kong": Signs(
            (
                header("via", rf"\bkong{VERSION}"),
                header("server", rf"^kong{VERSION}"),
                header("x-kong-upstream-latency"),
                header("x-kong-proxy-latency"),
                header("x-kong-request-id"),
            )
        ),
        "Tyk": Signs((header("x-tyk-version", r"^v?([\w.]+)"),)),
        "APISIX": Signs((header("server", rf"^apisix{VERSION}"),)),
        "LiteLLM": Signs(
            (
                header("x-litellm-version", r"^([\w.]+)"),
                header("x-litellm-call-id"),
                header("x-litellm-model-id"),
            )
        ),
        "Portkey": Signs((header("x-portkey-trace-id"),)),
        "Helicone": Signs((header("helicone-id"),)),
        "OpenRouter": Signs((header("x-openrouter-provider"),)),
        "Cloudflare": Signs(
            (header("cf-ray"), header("cf-cache-status"), header("server", r"^cloudflare")),
            (re.compile(r"\Aerror code: \d{3,4}\s*\Z"),),
        ),
        "Amazon CloudFront": Signs((header("x-amz-cf-id"), header("x-amz-cf-pop"), header("via", r"\bcloudfront\b"))),
        "AWS load balancer": Signs((header("server", r"^awselb"),)),
        "Amazon API Gateway": Signs((header("x-amz-apigw-id"), header("apigw-requestid"))),
        "Fastly": Signs((header("x-served-by", r"\bcache-"), header("fastly-io-info"))),
        "Akamai": Signs(
            (
                header("server", r"^akamai"),
                header("x-akamai-transformed"),
                header("x-akamai-request-id"),
                header("akamai-grn"),
            )
        ),
        "Google front end": Signs(
            (
                header("via", r"\bgoogle\b"),
                header("server", r"^(?:google frontend|gws|gse|scaffolding on httpserver2)"),
            )
        ),
        "Azure Front Door": Signs((header("x-azure-ref"), header("x-fd-int-roxy-purgeid"))),
        "Azure API Management": Signs((header("apim-request-id"),)),
        "Azure Application Gateway": Signs((header("server", r"^microsoft-azure-application-gateway"),)),
        "Vercel": Signs((header("x-vercel-id"), header("server", r"^vercel"))),
        "Fly.io": Signs((header("fly-request-id"), header("server", r"^fly/"))),
        "Railway": Signs((header("server", r"^railway"),)),
        "Render": Signs((header("x-render-origin-server"),)),
        "Heroku": Signs((header("via", r"\bvegur\b"), header("via", r"\bheroku-router\b"))),
        "aiohttp": Signs((header("server", r"aiohttp/([\w.]+)"),)),
        "hypercorn": Signs((header("server", r"^hypercorn"),)),
        "Werkzeug": Signs((header("server", rf"^werkzeug{VERSION}"),)),
    }
)
"""By title."""
