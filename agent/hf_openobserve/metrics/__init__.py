"""The numbers of calls, put together over an interval. Pure: no OpenTelemetry, no clock, no disk."""
