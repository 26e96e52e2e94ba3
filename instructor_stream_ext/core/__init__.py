"""The core, sans-I/O: no clock, event loop, thread, logging, instructor or HTTP."""
