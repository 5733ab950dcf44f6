"""Sockets: the listening port, connections, close codes. Hot path."""
