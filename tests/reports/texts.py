"""The made-up run's READMEs and configurations."""

from __future__ import annotations

BUFFERING = """# The whole answer comes at once

The reader looks at an empty page for as long as the model writes, and then the **whole answer** is there.
Nothing failed: no error, status 200, every token present. Only the point of streaming is lost.

## Mechanism

`nginx` reads the reply into its buffers (`proxy_buffering on`, the default) and, because it asks the model
server with HTTP/1.0, learns of the end only when the connection closes.

| version | default of `proxy_http_version` |
| --- | --- |
| 1.26 | 1.0 |
| 1.30 | 1.1 |

## What is measured

1. The model server holds token *i + 1* until token *i* has been confirmed.
2. If no confirmation comes within the hold, the path is not incremental.

```nginx
proxy_buffering off;
```

See [the idle timeout](../idle-timeout/README.md) for what silence does.
"""

IDLE = """# A silence while the model thinks cuts the answer

A reasoning model says nothing for a while. The proxy takes the silence for a dead model server and closes
the connection; the reader has half an answer and a network error.
"""

TOTAL = """# Only the long answers fail

Short prompts work, and so do the tests. One answer in three is cut, always after the same time.

## Mechanism

Envoy's route has a `timeout` of 15 s on the *whole* reply. Heartbeats do not help against it.
"""

DIED = """# Half an answer looks like a whole one

The model server dies after token 10. The client sees a clean end: nothing tells it that 14 tokens are missing.
"""

NGINX_BROKEN = """events {}
http {
    access_log off;
    server {
        listen {listen};
        location / {
            proxy_pass http://{model};
        }
    }
}
"""

NGINX_FIXED = """events {}
http {
    access_log off;
    server {
        listen {listen};
        location / {
            proxy_pass http://{model};
            # Default: on. Hands every read on at once.
            proxy_buffering off;
            # Default before 1.29.7: 1.0, where the end of the reply is the end of the connection.
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }
    }
}
"""

NGINX_HEADER = NGINX_BROKEN.replace(
    "{\n            ", "{\n            # The model server says no to buffering itself.\n            "
)

HAPROXY_BROKEN = """defaults
    mode http
    timeout connect 1s
    timeout client 2s
    timeout server 2s

frontend entry
    bind {listen}
    default_backend model

backend model
    server model {model}
"""

HAPROXY_FIXED = HAPROXY_BROKEN.replace("    mode http\n", "    mode http\n    option http-no-delay\n")

ENVOY_BROKEN = """static_resources:
  listeners:
    - name: entry
      route: { cluster: model, timeout: 2s }
"""

ENVOY_FIXED = ENVOY_BROKEN.replace("timeout: 2s", "timeout: 0s")

SNIPPET_PATH = "/etc/nginx/snippets/streaming.conf"

SNIPPET = """# Hands every read on at once.
proxy_buffering off;
proxy_read_timeout 600s;
"""

NGINX_INCLUDING = NGINX_BROKEN.replace(
    "proxy_pass http://{model};\n", f"proxy_pass http://{{model}};\n            include {SNIPPET_PATH};\n"
)
