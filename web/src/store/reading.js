// What a person does by looking: opening conversations, scrolling back, reading.
import { last } from "./conversations.js";
import * as rooms from "./conversations.js";

const PAGE = 50;

/** Open the conversation with a user, who need not be known yet. */
export async function openPerson(session, userId) {
  const found = await session.ask("start_conversation", { recipientId: userId });
  if (!found) return;
  const { conversationId, participant, messages } = found;
  session.patch(conversationId, (one) =>
    rooms.addPage(
      { ...one, person: participant, at: one.at || (messages.at(-1)?.timestamp ?? "") },
      { messages, pagination: { hasMore: one.hasMore || messages.length >= PAGE } },
    ),
  );
  session.selected.value = conversationId;
}

/** Read the page before the oldest message that is here; return whether there is more. */
export async function readOlder(session, conversation) {
  const before = conversation.messages[0]?.seq;
  const { id, group } = conversation;
  const page = { limit: PAGE, ...(before && { before }) };
  const found = group
    ? await session.ask("get_group_messages", { groupId: group.groupId, ...page })
    : await session.ask("get_private_messages", { conversationId: id, ...page });
  if (found) session.patch(id, (one) => rooms.addPage(one, found));
}

/** Say that everything in a conversation has been read. */
export async function markRead(session, conversation) {
  const newest = last(conversation);
  if (!newest || !conversation.unread) return;
  // At once: the answer sets it again, should something have come meanwhile.
  session.patch(conversation.id, (one) => ({ ...one, unread: 0, isMentioned: false }));
  const fields = { messageId: newest.id, conversationId: conversation.id };
  await session.client.request("mark_message_read", fields).catch(() => {
    session.patch(conversation.id, (one) => ({ ...one, unread: conversation.unread }));
  });
}
