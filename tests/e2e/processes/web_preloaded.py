"""The WSGI application with a client built and a call made at import: with ``--preload``, in gunicorn's master."""

import web_wsgi
from asking import ask

ask("master")
app = web_wsgi.app
