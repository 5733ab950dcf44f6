"""The `fastchat` command; each subcommand imports only what it needs."""
