"""The vocabulary: commands, events, codes and the codec; no I/O."""
