"""A recorded stream, served by a local server at its original pace: `python -m instructor_stream_ext.demo`."""
