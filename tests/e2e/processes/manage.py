"""A whole Django project in one file: ``/ask/LABEL`` makes a call and answers with the pid."""

import sys

from asking import ask
from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpResponse
from django.urls import path

settings.configure(DEBUG=True, SECRET_KEY="of-the-tests", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], USE_TZ=True)
urlpatterns = [path("ask/<label>", lambda _, label: HttpResponse(ask(label)))]

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
