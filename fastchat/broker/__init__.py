"""What workers tell each other, and what carries it. Hot path."""
