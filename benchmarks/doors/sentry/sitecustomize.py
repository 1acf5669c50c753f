"""The lines that Sentry's guide for OpenAI puts at the start of a program; its DSN is in the environment."""

import sentry_sdk

sentry_sdk.init(traces_sample_rate=1.0, send_default_pii=True)
