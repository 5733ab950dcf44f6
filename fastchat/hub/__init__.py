"""Who is here: sessions, rooms, presence and fan-out on this worker. Hot path."""
