"""The JSON document within an answer: where it begins, how far it has come, and what it is so far."""
