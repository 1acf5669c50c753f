"""OpenTelemetry instrumentors of our own. They know nothing of the agent: each also works under the stock distro, or by hand.

``huggingface_hub`` is the entry point. Beneath it: ``hooks`` (where the client is entered, the one place with private
names), ``call`` (one call as one span), ``stream``, and the pure ``messages``.
"""
