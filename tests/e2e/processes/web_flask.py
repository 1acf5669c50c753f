"""A Flask application: ``/ask/LABEL`` makes a call and answers with the pid."""

from asking import ask
from flask import Flask

app = Flask(__name__)
app.route("/ask/<label>")(ask)
