// What a pane knows of one conversation, and what news of the server make of it. All pure.
import { change, merge, react, remove } from "./messages.js";

/** A conversation of which nothing is known but its id. */
export function empty(id) {
  return {
    id,
    group: null, // {groupId, groupName, groupDescription, memberCount}
    members: [],
    person: null, // {userId, username, displayName}
    messages: [],
    hasMore: false, // older messages that are not here
    unread: 0,
    isMentioned: false,
    readSeq: 0, // how far the other one has read
    typing: {}, // user id → name
    at: "", // time of the last message
  };
}

export function title({ group, person, id }) {
  return group?.groupName ?? person?.displayName ?? id;
}

export function last({ messages }) {
  return messages[messages.length - 1];
}

export function myRole({ members }, userId) {
  return members.find((member) => member.userId === userId)?.role ?? "member";
}

/** Newest first; those without messages at the end. */
export function inOrder(conversations) {
  return [...conversations.values()].sort((a, b) => b.at.localeCompare(a.at));
}

/** Take over a message that came, or that one sent. */
export function addMessage(conversation, message, me) {
  const isNew = !conversation.messages.some(({ id }) => id === message.id);
  const isForeign = isNew && message.senderId !== me;
  return {
    ...conversation,
    messages: merge(conversation.messages, [message]),
    at: message.timestamp > conversation.at ? message.timestamp : conversation.at,
    unread: conversation.unread + (isForeign ? 1 : 0),
    typing: without(conversation.typing, message.senderId),
  };
}

/** Take over what was missed, as `sync` tells it. */
export function takeNews(conversation, news, me) {
  const start = news.complete ? conversation.messages : [];
  const gone = news.changed.filter(({ isDeleted }) => isDeleted).map(({ id }) => id);
  const changed = news.changed.filter(({ isDeleted }) => !isDeleted);
  // Older ones than those that are here come when somebody scrolls up.
  const first = start[0]?.seq ?? 0;
  const shown = changed.filter(({ seq }) => seq >= first);
  let messages = merge(start, [...news.messages, ...shown]);
  messages = remove(messages, [...gone, ...news.hiddenIds]);
  if (news.hiddenUpTo) messages = messages.filter(({ seq }) => seq > news.hiddenUpTo);
  const other = Object.entries(news.readUpTo).find(([userId]) => userId !== me);
  return {
    ...conversation,
    messages,
    hasMore: news.complete ? conversation.hasMore : true,
    unread: news.unreadCount,
    readSeq: Math.max(conversation.readSeq, news.groupId ? 0 : (other?.[1] ?? 0)),
    at: messages.at(-1)?.timestamp ?? (conversation.at || (news.group?.createdAt ?? "")),
    ...(news.group && { group: news.group }),
    ...(news.members && { members: news.members }),
  };
}

export function addPage(conversation, { messages, pagination }) {
  return {
    ...conversation,
    messages: merge(conversation.messages, messages),
    hasMore: pagination.hasMore,
  };
}

const HANDLERS = {
  message_edited: (one, { messageId, message, rev }) =>
    withMessages(one, change(one.messages, messageId, message, rev)),
  message_deleted: (one, { messageId }) => withMessages(one, remove(one.messages, [messageId])),
  reaction_added: (one, { messageId, reaction, rev }) =>
    withMessages(one, react(one.messages, messageId, reaction.userId, reaction, rev)),
  reaction_removed: (one, { messageId, userId, rev }) =>
    withMessages(one, react(one.messages, messageId, userId, null, rev)),
  message_pinned: (one, { messageId, rev }) =>
    withMessages(one, change(one.messages, messageId, { isPinned: true }, rev)),
  message_unpinned: (one, { messageId, rev }) =>
    withMessages(one, change(one.messages, messageId, { isPinned: undefined }, rev)),
  message_read: (one, { messageId, readBy }, me) => {
    const seq = one.messages.find(({ id }) => id === messageId)?.seq ?? 0;
    if (readBy !== me) return one.group ? one : { ...one, readSeq: Math.max(one.readSeq, seq) };
    const unread = one.messages.filter((m) => m.senderId !== me && m.seq > seq).length;
    return { ...one, unread, isMentioned: unread > 0 && one.isMentioned };
  },
  mentioned_in_group: (one) => ({ ...one, isMentioned: true }),
  conversation_deleted: (one) => ({ ...one, messages: [], hasMore: false, unread: 0, at: "" }),
  user_typing: (one, { userId, username, isTyping }) => ({
    ...one,
    typing: isTyping ? { ...one.typing, [userId]: username } : without(one.typing, userId),
  }),
  group_info_updated: (one, { groupName, groupDescription, maxMembers }) => ({
    ...one,
    group: { ...one.group, groupName, groupDescription, maxMembers },
  }),
  member_promoted: (one, event) => withMember(one, event.userId, { role: event.newRole }),
  member_demoted: (one, event) => withMember(one, event.userId, { role: event.newRole }),
  member_permissions_updated: (one, { userId, canSendMessages, canAddMembers }) =>
    withMember(one, userId, { canSendMessages, canAddMembers }),
  member_removed: (one, { userId }) => withoutMember(one, userId),
  member_left: (one, { userId }) => withoutMember(one, userId),
  ownership_transferred: (one, { userId, transferredBy }) =>
    withMember(withMember(one, transferredBy, { role: "admin" }), userId, { role: "owner" }),
};

/** The types of events that change a conversation. */
export const CHANGES = Object.keys(HANDLERS);

/** Take over an event that changes a conversation. */
export function apply(conversation, event, me) {
  return HANDLERS[event.type](conversation, event, me);
}

function withMessages(conversation, messages) {
  return { ...conversation, messages };
}

function withMember(conversation, userId, changes) {
  const members = conversation.members.map((member) =>
    member.userId === userId ? { ...member, ...changes } : member,
  );
  return { ...conversation, members };
}

function withoutMember(conversation, userId) {
  return {
    ...conversation,
    members: conversation.members.filter((member) => member.userId !== userId),
    typing: without(conversation.typing, userId),
  };
}

function without(object, key) {
  const { [key]: _, ...rest } = object;
  return rest;
}
