"""OTLP, the protocol of spans: one span encoded, serialised requests edited, a span shortened.

It knows no store and no server.
"""
