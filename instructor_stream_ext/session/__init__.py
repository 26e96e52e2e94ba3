"""One stream from its first request to its end: attempts, hooks, retries, and the two drivers."""
