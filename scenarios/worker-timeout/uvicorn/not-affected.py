"""A relay in uvicorn: one process, and no request has anything of its own but a task."""

import asyncio

BIND = "0.0.0.0:${PORT}"

# What is about one connection, and not about the message.
OWN = (b"connection", b"keep-alive", b"transfer-encoding", b"host")


async def relay(scope, receive, send):
    """Pass a request on to the model, and its reply back as it comes."""
    if scope["type"] != "http":
        return
    reader, writer = await asyncio.open_connection("${MODEL_HOST}", int("${MODEL_PORT}"))
    try:
        # HTTP/1.0, so that the reply ends where the connection does.
        kept = [pair for pair in scope["headers"] if pair[0].lower() not in OWN]
        target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        head = [scope["method"].encode() + b" " + target + b" HTTP/1.0", *(b": ".join(pair) for pair in kept)]
        writer.write(b"\r\n".join([*head, b"", b""]))
        more = True
        while more:
            message = await receive()
            more = message.get("more_body", False)
            writer.write(message.get("body", b""))
        status, *lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[:-2]
        headers = [tuple(line.split(b": ", 1)) for line in lines]
        headers = [pair for pair in headers if pair[0].lower() not in OWN]
        await send({"type": "http.response.start", "status": int(status.split()[1]), "headers": headers})
        while piece := await reader.read(65536):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        writer.close()
