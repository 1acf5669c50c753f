"""A Celery application on a broker made of files: ``tasks.ask_in_worker(LABEL)`` makes a call.

With ``ASK_AT_IMPORT`` a call is made at import too, which is in the master, before it forks its workers.
"""

import os

from asking import ask
from celery import Celery
from celery.signals import worker_ready

BROKER = os.environ["BROKER_DIR"]

app = Celery("tasks", broker="filesystem://")
app.conf.update(
    broker_transport_options={
        "data_folder_in": BROKER,
        "data_folder_out": BROKER,
        "control_folder": os.path.join(BROKER, "control"),
        "polling_interval": 0.1,
    },
    task_ignore_result=True,
    worker_redirect_stdouts=False,
)
if os.environ.get("ASK_AT_IMPORT"):
    ask("master")


@app.task(name="tasks.ask_in_worker")
def ask_in_worker(label):
    ask(label)


@worker_ready.connect
def say_so(**_):
    print("ready", flush=True)
