"""May this session do this now: limits on connections, commands and messages. Hot path."""
