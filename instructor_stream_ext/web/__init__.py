"""Streams on their way to a front-end, over Starlette and so over FastAPI."""
