"""An ASGI application: ``/ask/LABEL`` makes a call and answers with the pid. The call blocks the worker on purpose."""

from asking import ask


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    pid = ask(scope["path"].rpartition("/")[2])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": pid.encode()})
