"""Our own OpenTelemetry instrumentors, as applications load them: they also work under the stock distro, or by hand."""
