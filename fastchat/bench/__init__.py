"""Load for a server: cheap connections, a private server to try them on, and what they measure."""
