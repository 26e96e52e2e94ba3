"""The public objects: wrapped clients, their methods, and the streams that they return."""
