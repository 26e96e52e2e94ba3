"""What the caller holds: wrapped clients, their methods, and the streams that these give."""
