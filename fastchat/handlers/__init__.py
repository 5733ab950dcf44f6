"""What each command means, one module per family of commands."""
