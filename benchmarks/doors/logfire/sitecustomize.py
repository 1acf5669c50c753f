"""The lines Logfire's guide for OpenAI puts at the start of a program; token and address are in the environment."""

import logfire

logfire.configure()
logfire.instrument_openai()
