import hublet

hublet.patch_all()  # before anything else, as docs/patches.rst says

# The application that workers and producers of test_celery share; BROKER and RESULTS are in the environment.
import os  # noqa: E402
import time  # noqa: E402

from celery import Celery  # noqa: E402

app = Celery("tests.patches.libraries.celery_tasks", broker=os.environ["BROKER"], backend=os.environ["RESULTS"])
app.conf.worker_hijack_root_logger = False
app.conf.result_backend_thread_safe = os.environ["RESULTS"].startswith("redis")
running = [0]


@app.task
def wait(seconds: float) -> int:
    """Wait; return how many of these run at the same time at its end."""
    running[0] += 1
    time.sleep(seconds)
    at_once = running[0]
    running[0] -= 1
    return at_once


@app.task
def fail(text: str) -> None:
    """Raise ValueError."""
    raise ValueError(text)
