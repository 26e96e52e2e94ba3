"""The objects in the caller's hands: wrapped clients, their methods, and the streams that these return."""
