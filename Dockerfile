# The fake model server as a container, to stand behind a path under audit.
#
#   docker build -t token-stream-lab .
#   docker run --rm -p 8000:8000 -e LAB_SECRET token-stream-lab
#
# Without LAB_SECRET (or --secret-file with a mounted file) it obeys everybody and says so. A base that brings the three
# packages itself needs no index: --build-arg BASE=... Base and packages are held to their contents; the files of
# lab/testbed/pins are written by tools/renew_pins.py, and so is the next line.
ARG BASE=python:3.13.15-slim-trixie@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b
FROM ${BASE}

COPY lab/testbed/pins/model.txt /opt/token-stream-lab/requirements.txt
RUN python3 -c "import aiohttp, pydantic, uvloop" 2>/dev/null \
 || python3 -m pip install --no-cache-dir --no-deps --require-hashes -r /opt/token-stream-lab/requirements.txt

COPY lab /opt/token-stream-lab/code/lab
WORKDIR /opt/token-stream-lab/code
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

USER 65532:65532
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/lab/health', timeout=2)"]
ENTRYPOINT ["python3", "-m", "lab.model", "--host", "0.0.0.0", "--port", "8000"]
