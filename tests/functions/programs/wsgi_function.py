"""A WSGI application: ``/LABEL`` calls. As a program it serves itself, by the standard library."""

import sys
from wsgiref.simple_server import make_server

from web_calls import call


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [call(environ["PATH_INFO"].rpartition("/")[2]).encode()]


if __name__ == "__main__":
    make_server("127.0.0.1", int(sys.argv[1]), app).serve_forever()
