"""A Django application that reads and writes PostgreSQL with a model. TEST_DRIVER is psycopg or psycopg2."""

from __future__ import annotations

import os
import sys

if os.environ["TEST_DRIVER"] == "psycopg2":
    sys.modules["psycopg"] = None  # type: ignore[assignment] # Django prefers it

from django.conf import settings

settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="for tests only",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": "127.0.0.1",
            "PORT": os.environ["TEST_PORT"],
            "USER": "postgres",
            "NAME": "postgres",
        }
    },
)

import django  # noqa: E402

django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import connection, models, transaction  # noqa: E402
from django.http import HttpRequest, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402


class Order(models.Model):
    name = models.CharField(max_length=20)

    class Meta:
        app_label = "orders"
        db_table = f"orders_{os.environ['TEST_DRIVER']}"


def create(request: HttpRequest) -> JsonResponse:
    """Make the table."""
    with connection.schema_editor() as editor:
        editor.create_model(Order)
    return JsonResponse({"driver": connection.Database.__name__})


def place(request: HttpRequest, name: str) -> JsonResponse:
    """Place an order, slowly, and take it back if it is called bad."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            order = Order.objects.create(name=name)
            cursor.execute("SELECT pg_sleep(0.2), pg_backend_pid()")
            backend = cursor.fetchone()[1]
            if name == "bad":
                raise ValueError(name)
    except ValueError:
        return JsonResponse({"placed": False})
    return JsonResponse({"placed": True, "name": Order.objects.get(pk=order.pk).name, "backend": backend})


def count(request: HttpRequest) -> JsonResponse:
    """Say how many orders there are, and how many connections."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [os.environ["PGAPPNAME"]])
        return JsonResponse({"orders": Order.objects.count(), "connections": cursor.fetchone()[0]})


urlpatterns = [path("create", create), path("place/<name>", place), path("count", count)]
application = get_wsgi_application()
