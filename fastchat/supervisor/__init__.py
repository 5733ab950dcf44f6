"""The processes of a server: a supervisor without threads and event loop, and its workers."""
