"""The seam to instructor: the only package that imports it (`core/errors.py` imports its exceptions, too)."""
