"""The seam to instructor: the only room that imports it (its exceptions are also in `core/errors.py`)."""
