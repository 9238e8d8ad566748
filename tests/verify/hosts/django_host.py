"""Serves GET /account with the settings of a recipe."""

import http.client
import os
import sys
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

sys.path.insert(0, str(Path(__file__).parents[1] / "generated"))

import django
from django.conf import settings

# By default, a longer line is a 431 with a connection reset, which can hide the status from the test.
http.client._MAXLINE = 256 * 1024


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Handler(WSGIRequestHandler):
    def log_message(self, *_):
        pass


def serve(recipe_settings):
    settings.configure(
        ALLOWED_HOSTS=["*"],
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "rest_framework"],
        ROOT_URLCONF=__name__,
        SECRET_KEY="unused",
        **{name: value for name, value in vars(recipe_settings).items() if name.isupper()},
    )
    django.setup()

    from django.core.wsgi import get_wsgi_application
    from django.urls import path
    from rest_framework.response import Response
    from rest_framework.views import APIView

    class Account(APIView):
        def get(self, request):
            return Response({"user_id": request.user.id, "email": request.user.email})

    globals()["urlpatterns"] = [path("account", Account.as_view())]
    port = int(os.environ["PORT"])
    make_server("127.0.0.1", port, get_wsgi_application(), Server, Handler).serve_forever()
