"""Takes over the tables of the previous server, the one in Node.

The copy is built in a schema of its own (``fastchat_next``) while the previous server goes on:
triggers on its tables note the keys of whatever it writes, and these are copied once more until
none is left. Then one short transaction changes places: the old tables move, as they are, into
the schema ``before_fastchat``, and the copy moves to where they were. Everything that ``adopt``
itself has to remember lies in ``fastchat_adoption``, in the same transactions as the copy, so that
it may be killed at any moment and goes on where it was.
"""

NEXT = "fastchat_next"  # the copy, until the change of places
WORK = "fastchat_adoption"  # what adopt remembers
BEFORE = "before_fastchat"  # the old tables, afterwards
AFTER = "after_fastchat"  # fastchat's tables, once one has gone back


class AdoptionError(Exception):
    """The tables cannot be taken over as they are; says what was found and what was expected."""
