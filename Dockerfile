# The fake model server as a container, to stand behind a path under audit.
#
#   docker build -t token-stream-lab .
#   docker run --rm -p 8000:8000 -e LAB_SECRET token-stream-lab
#
# Without LAB_SECRET (or --secret-file with a mounted file) it obeys everybody and says so. A base that brings the three
# packages itself needs no index: --build-arg BASE=...
ARG BASE=python:3.13-slim
FROM ${BASE}

RUN python3 -c "import aiohttp, pydantic, uvloop" 2>/dev/null \
 || python3 -m pip install --no-cache-dir "aiohttp>=3.12" "pydantic>=2.10" "uvloop>=0.21"

COPY lab /opt/token-stream-lab/code/lab
WORKDIR /opt/token-stream-lab/code
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

USER 65532:65532
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/lab/health', timeout=2)"]
ENTRYPOINT ["python3", "-m", "lab.model", "--host", "0.0.0.0", "--port", "8000"]
