"""The core, sans-I/O: no clock, loop, thread, logging, instructor or HTTP."""
