"""A server of its own on asyncio: the agent does not see when its answers go back. ``/LABEL`` calls."""

import asyncio
import sys

from web_calls import call_async


async def serve(reader, writer):
    path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
    answer = (await call_async(path.rpartition("/")[2])).encode()
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer))
    await writer.drain()
    writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))
    async with server:
        await server.serve_forever()


asyncio.run(main())
