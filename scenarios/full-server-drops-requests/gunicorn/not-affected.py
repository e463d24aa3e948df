"""A relay with eight threads in one process, which eight streams occupy; it keeps idle connections for 5 s."""

import http.client
from pathlib import Path

bind = "0.0.0.0:${PORT}"
worker_class = "gthread"
workers = 1
threads = 8
keepalive = 5
wsgi_app = f"{Path(__file__).stem}:relay"
pythonpath = str(Path(__file__).parent)

# What is about one connection, and not about the message.
OWN = ("connection", "keep-alive", "transfer-encoding")


def relay(environ, start_response):
    """Pass a request on to the model, and its reply back as it comes."""
    given = {name[5:].replace("_", "-"): value for name, value in environ.items() if name.startswith("HTTP_")}
    headers = {name: value for name, value in given.items() if name.lower() not in OWN}
    headers["Content-Type"] = environ.get("CONTENT_TYPE", "")
    # As far as the body goes, whether it has a length or comes in chunks.
    body = environ["wsgi.input"].read()
    model = http.client.HTTPConnection("${MODEL_HOST}", int("${MODEL_PORT}"), timeout=600)
    try:
        model.request(environ["REQUEST_METHOD"], environ["RAW_URI"], body, headers)
        reply = model.getresponse()
        kept = [pair for pair in reply.getheaders() if pair[0].lower() not in OWN]
        start_response(f"{reply.status} {reply.reason}", kept)
        while piece := reply.read1(65536):
            yield piece
    finally:
        model.close()
