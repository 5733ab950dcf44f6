// Lists of messages: the oldest first, each once. Every function returns a new list.

/** Take messages over; of two with the same id the one with the higher `rev` stays. */
export function merge(list, incoming) {
  const found = new Map(list.map((message) => [message.id, message]));
  for (const message of incoming) {
    const known = found.get(message.id);
    if (!known || message.rev >= known.rev) found.set(message.id, message);
  }
  return [...found.values()].sort((a, b) => a.seq - b.seq);
}

export function change(list, id, changes, rev = 0) {
  return list.map((message) =>
    message.id === id ? { ...message, ...changes, rev: Math.max(message.rev, rev) } : message,
  );
}

export function remove(list, ids) {
  const gone = new Set(ids);
  return list.filter(({ id }) => !gone.has(id));
}

/** Set or take back a user's reaction. */
export function react(list, id, userId, reaction, rev) {
  const message = list.find((one) => one.id === id);
  if (!message) return list;
  const others = message.reactions.filter((one) => one.userId !== userId);
  return change(list, id, { reactions: reaction ? [...others, reaction] : others }, rev);
}

/** How many times each reaction was given, and by whom. */
export function countReactions(reactions) {
  const counts = new Map();
  for (const { reaction, username, userId } of reactions) {
    const one = counts.get(reaction) ?? { reaction, names: [], userIds: [] };
    one.names.push(username);
    one.userIds.push(userId);
    counts.set(reaction, one);
  }
  return [...counts.values()];
}
