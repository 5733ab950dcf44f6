"""fastchat: a fast, durable and safe real-time chat server."""

__version__ = "0.1.0"
