"""Leaves by ``os._exit`` right after its call."""

import os

from asking import ask

ask("last")
print("leaving", flush=True)
os._exit(7)
