"""The SQL that says whether one of two users has blocked the other, as it stands in statements."""


def either_blocks(one: str, other: str) -> str:
    """Return the condition for two expressions that are ids in the backend's own type.

    Two subqueries, each of which stops at the first row it finds; null ids block nobody.
    """
    return (
        "(SELECT true FROM blocked_relationships b "
        f"WHERE b.blocker_id = {one} AND b.blocked_id = {other} LIMIT 1) IS NOT NULL "
        "OR (SELECT true FROM blocked_relationships b "
        f"WHERE b.blocker_id = {other} AND b.blocked_id = {one} LIMIT 1) IS NOT NULL"
    )


def block_parts(blocks_id_type: str | None, parameter: int) -> dict[str, str]:
    """Return the parts of a statement for many messages that concern blocks.

    Args:
        blocks_id_type: Of the ids; None: there is no table of blocks, so nobody is blocked.
        parameter: Number of the array of the users; that of the others is the next one.

    Returns:
        ``block_arrays`` and ``block_names`` for the list of arrays ``g``, and ``is_blocked``.
    """
    if blocks_id_type is None:
        return {"block_arrays": "", "block_names": "", "is_blocked": "false"}
    return {
        "block_arrays": f", ${parameter}::{blocks_id_type}[], ${parameter + 1}::{blocks_id_type}[]",
        "block_names": ", own_id, other_id",
        "is_blocked": either_blocks("g.own_id", "g.other_id"),
    }
