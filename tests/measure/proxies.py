"""Configurations of real proxies with given timeouts."""

from __future__ import annotations

from pathlib import Path

from lab.products import PROXIES
from lab.testbed.testbed import Target

MODEL = "${MODEL}"
"""The model server, for the testbed to fill in."""

# The engine's own resolver: a name of a container that is not yet up must not stop the start.
NGINX = """\
events {{}}

http {{
    server {{
        listen ${{PORT}};
        resolver 127.0.0.11;
        set $upstream http://{upstream};

        location / {{
            proxy_pass $upstream;
            proxy_http_version 1.1;
            proxy_buffering {buffering};
            proxy_read_timeout {timeout:.0f}ms;
        }}
    }}
}}
"""

HAPROXY = """\
global
    log stdout format raw local0

defaults
    mode http
    option http-no-delay
    timeout connect 5s
    timeout client 60s
    timeout server {timeout:.0f}ms
{more}
frontend lab
    bind :${{PORT}}
    default_backend model

backend model
    server model {upstream}
"""

ENVOY = """\
static_resources:
  listeners:
  - name: lab
    address: {{socket_address: {{address: 0.0.0.0, port_value: ${{PORT}}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: lab
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
          route_config:
            virtual_hosts:
            - name: model
              domains: ["*"]
              routes:
              - match: {{prefix: /}}
                route:
                  cluster: model
                  timeout: {total:.3f}s
                  idle_timeout: {timeout:.3f}s
  clusters:
  - name: model
    type: STRICT_DNS
    dns_refresh_rate: 0.2s
    circuit_breakers: {{thresholds: [{{max_connections: 4096, max_pending_requests: 4096, max_requests: 4096}}]}}
    load_assignment:
      cluster_name: model
      endpoints:
      - lb_endpoints:
        - endpoint:
            address: {{socket_address: {{address: "${{MODEL_HOST}}", port_value: ${{MODEL_PORT}}}}}}
"""


def post(folder: Path, key: str, proxy: str, text: str, behind: str | None = None) -> Target:
    """A post whose configuration is that text; it asks the model server, or the post that it is behind."""
    file = folder / key / f"proxy{PROXIES[proxy].product.suffix}"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return Target(key, PROXIES[proxy], file, behind)


def nginx(timeout: float, *, buffering: bool = False) -> str:
    """One of nginx with `proxy_read_timeout`, in seconds."""
    return NGINX.format(timeout=timeout * 1e3, upstream=MODEL, buffering="on" if buffering else "off")


def haproxy(timeout: float, *, retries: bool = False) -> str:
    """One of HAProxy with `timeout server`, in seconds; it may ask once more where no answer came in time."""
    more = "    retries 1\n    retry-on response-timeout empty-response\n" if retries else ""
    return HAPROXY.format(timeout=timeout * 1e3, upstream=MODEL, more=more)


def envoy(total: float, idle: float) -> str:
    """One of Envoy with the route's `timeout` and `idle_timeout`, in seconds; 0 switches one off."""
    return ENVOY.format(total=total, timeout=idle)


NGINX_TLS = """\
events {{}}

http {{
    gzip {gzip};
    gzip_types text/event-stream;

    server {{
        listen ${{PORT}} ssl;
        http2 {http_2};
        ssl_certificate cert.pem;
        ssl_certificate_key cert.pem;
        proxy_http_version 1.1;
        proxy_buffering off;

        location / {{
            if ($server_protocol = HTTP/2.0) {{
                rewrite ^ /over-http-2$uri last;
            }}
            proxy_pass http://${{MODEL}};
        }}

        location /over-http-2/ {{
            internal;
            proxy_pass http://${{MODEL}}/;
            proxy_read_timeout {timeout:.0f}ms;
        }}
    }}
}}
"""


def nginx_tls(
    folder: Path, key: str, certificate: bytes, *, timeout: float, gzip: bool = False, h2: bool = True
) -> Target:
    """One of nginx before https, with a certificate and its key; the timeout, in seconds, is for HTTP/2 alone."""
    on = {True: "on", False: "off"}
    text = NGINX_TLS.format(timeout=timeout * 1e3, gzip=on[gzip], http_2=on[h2])
    made = post(folder, key, "nginx-1.30", text)
    (made.config.parent / "cert.pem").write_bytes(certificate)
    return made
