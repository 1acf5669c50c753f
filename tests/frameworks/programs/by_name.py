"""Leads huggingface_hub to the router by its real name, through the test's proxy: without TLS. Imported first."""

import os

from huggingface_hub import constants

constants.INFERENCE_PROXY_TEMPLATE = "http://router.huggingface.co/{provider}"

ROUTER = "http://router.huggingface.co/v1"
MODEL = "meta-llama/Llama-3.1-8B-Instruct"
REFUSED = "scripted/no-credits"
PROVIDER = "together"
INSTRUMENT = "INSTRUMENT" in os.environ
"""The program instruments the framework itself, in the way that its instrumentor's documentation shows."""


def refused(label, call):
    """The error of a call that the router refuses, by its type: the message is the client's business."""
    try:
        call()
    except Exception as error:
        print(label, type(error).__name__)
