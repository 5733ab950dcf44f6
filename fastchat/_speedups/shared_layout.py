"""How windows lie in shared memory, in words of 64 bits; both twins of ``SharedWindow`` know it."""

TICKS = 1 << 20  # per second: times are rounded down to these
TURN_BITS = 12  # below the ticks of a stamp: tells stamps of one tick apart; the first has 1
CLOSED = 1 << 63  # of the oldest stamp: the ring is being replaced by a larger one

# A ring word: where the first slot is, and above that the binary logarithm of how many there are.
INDEX = (1 << 56) - 1
SIZE_SHIFT = 56

# Words of an entry.
RING = 0
TAIL = 1  # position of the next stamp; the slot is that modulo the size
WINDOW = 2  # ticks
SEATS = 3  # the first of the words of the processes
