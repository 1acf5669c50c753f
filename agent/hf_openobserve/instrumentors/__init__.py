"""OpenTelemetry instrumentors of our own, as applications load them: they also work under the stock distro, or by hand."""
