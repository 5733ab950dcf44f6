// One message, and what can be done with it.
import { useState } from "preact/hooks";
import { html } from "../html.js";
import { myRole } from "../store/conversations.js";
import { countReactions } from "../store/messages.js";
import { Icon, IconButton } from "./icons.js";
import { Quote } from "./quote.js";
import { clock } from "./times.js";

const REACTIONS = ["👍", "❤️", "😂", "🎉", "😮", "🙏"];

export function Message({ session, conversation, message, isFirst, isLast, isRead, draft }) {
  const [isAsking, setIsAsking] = useState(false); // whether to delete
  const me = session.me.value.userId;
  const isMine = message.senderId === me;
  const actions = makeActions(session, conversation, message, draft, setIsAsking);
  const classes = [
    "message",
    isMine && "is-mine",
    isFirst && "is-first",
    message.isPinned && "is-pinned",
  ];
  const onKey = (event) => {
    if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey)
      return;
    const run = { r: actions.reply, e: actions.edit, p: actions.pin, Delete: actions.ask }[
      event.key
    ];
    const reaction = REACTIONS[Number(event.key) - 1];
    if (!run && !reaction) return;
    event.preventDefault();
    if (run) run();
    else actions.react(reaction);
  };
  return html`<li
    class=${classes.filter(Boolean).join(" ")}
    tabindex=${isLast ? 0 : -1}
    data-id=${message.id}
    aria-label=${`${message.username}, ${clock(message.timestamp)}: ${message.content}`}
    onKeyDown=${onKey}
  >
    ${isFirst && !isMine && conversation.group && html`<p class="sender">${message.username}</p>`}
    <div class="bubble">
      ${message.replyToMessageId && html`<${Reply} conversation=${conversation} id=${message.replyToMessageId} />`}
      <p class="content"><${Text} message=${message} me=${session.me.value} /></p>
      <p class="meta">
        ${message.isAnnouncement && html`<span>announcement</span>`}
        ${message.isPinned && html`<${Icon} name="pin" />`}
        ${message.editedAt && html`<span>edited</span>`}
        <time>${clock(message.timestamp)}</time>
        ${isMine && html`<${Mark} kind=${isRead ? "read" : "sent"} />`}
      </p>
      <${Toolbar} actions=${actions} />
    </div>
    <${Reactions} message=${message} me=${me} onReact=${actions.react} />
    ${isAsking && html`<${DeleteQuestion} actions=${actions} onClose=${() => setIsAsking(false)} />`}
  </li>`;
}

/** What one may do with a message; what one may not is undefined. */
function makeActions(session, conversation, message, draft, setIsAsking) {
  const { id: messageId, conversationId } = message;
  const me = session.me.value.userId;
  const isMine = message.senderId === me;
  const isAdmin = conversation.group && myRole(conversation, me) !== "member";
  const target = { messageId, conversationId };
  const pin = () => session.ask(message.isPinned ? "unpin_message" : "pin_message", target);
  const remove = (deleteForEveryone) =>
    session.ask("delete_message", { ...target, deleteForEveryone });
  return {
    isPinned: message.isPinned,
    reply: () => (draft.value = { kind: "reply", message }),
    edit: isMine ? () => (draft.value = { kind: "edit", message }) : undefined,
    pin: !conversation.group || isAdmin ? pin : undefined,
    react: (reaction) => session.ask("add_reaction", { ...target, reaction }),
    ask: () => setIsAsking(true),
    deleteForMe: () => remove(false),
    deleteForAll: isMine || isAdmin ? () => remove(true) : undefined,
  };
}

function Toolbar({ actions }) {
  const [isOpen, setIsOpen] = useState(false);
  const pin = actions.isPinned ? "Unpin" : "Pin";
  const react = (reaction) => {
    setIsOpen(false);
    actions.react(reaction);
  };
  return html`<div class="toolbar" role="toolbar" aria-label="Actions">
    ${
      isOpen
        ? REACTIONS.map(
            (one) =>
              html`<button type="button" key=${one} class="emoji" onClick=${() => react(one)}>${one}</button>`,
          )
        : html`
          <${IconButton} icon="smile" label="React" onClick=${() => setIsOpen(true)} />
          <${IconButton} icon="reply" label="Reply" onClick=${actions.reply} />
          ${actions.edit && html`<${IconButton} icon="edit" label="Edit" onClick=${actions.edit} />`}
          ${actions.pin && html`<${IconButton} icon="pin" label=${pin} onClick=${actions.pin} />`}
          <${IconButton} icon="trash" label="Delete" onClick=${actions.ask} />
        `
    }
  </div>`;
}

function DeleteQuestion({ actions, onClose }) {
  const then = (action) => () => {
    onClose();
    action();
  };
  return html`<div class="question" role="group" aria-label="Delete this message?">
    ${
      actions.deleteForAll &&
      html`<button type="button" class="danger" onClick=${then(actions.deleteForAll)}>Delete for everyone</button>`
    }
    <button type="button" onClick=${then(actions.deleteForMe)}>Delete for me</button>
    <button type="button" onClick=${onClose}>Keep</button>
  </div>`;
}

function Reactions({ message, me, onReact }) {
  if (!message.reactions.length) return null;
  return html`<div class="reactions">
    ${countReactions(message.reactions).map(
      ({ reaction, names, userIds }) => html`<button
        type="button"
        key=${reaction}
        aria-pressed=${userIds.includes(me)}
        title=${names.join(", ")}
        aria-label=${`${reaction} by ${names.join(", ")}`}
        onClick=${() => onReact(reaction)}
      >
        ${reaction} ${names.length > 1 ? names.length : ""}
      </button>`,
    )}
  </div>`;
}

function Reply({ conversation, id }) {
  const message = conversation.messages.find((one) => one.id === id);
  const show = (event) => {
    const found = event.currentTarget
      .closest(".messages")
      .querySelector(`[data-id="${CSS.escape(id)}"]`);
    found?.scrollIntoView({ block: "center" });
    found?.focus({ preventScroll: true });
  };
  return html`<${Quote} message=${message} onClick=${show} />`;
}

/** The text of a message, mentions set off. It is always text, whatever is in it. */
function Text({ message, me }) {
  const names = new Set();
  for (const one of message.mentions ?? []) {
    for (const name of one.type === "everyone" ? ["everyone", "all"] : [one.username])
      names.add(name.toLowerCase());
  }
  if (!names.size) return message.content;
  return message.content.split(/((?<=^|\s)@[^\s,.;:!?]+)/).map((part) => {
    const name = part.startsWith("@") ? part.slice(1).toLowerCase() : "";
    if (!names.has(name)) return part;
    const isMe = name === me.username.toLowerCase() || name === "everyone" || name === "all";
    return html`<mark class=${isMe ? "mention is-me" : "mention"}>${part}</mark>`;
  });
}

const MARKS = {
  pending: ["clock", "pending"],
  sent: ["check", "sent"],
  read: ["checks", "read"],
  failed: ["warn", "not sent"],
};

export function Mark({ kind }) {
  const [icon, text] = MARKS[kind];
  return html`<span class=${`mark is-${kind}`} role="img" aria-label=${text} title=${text}>
    <${Icon} name=${icon} />
  </span>`;
}

/** A message that is not known to be stored. */
export function Outgoing({ session, one }) {
  return html`<li class="message is-mine is-outgoing">
    <div class="bubble">
      ${one.replyTo && html`<${Quote} message=${one.replyTo} />`}
      <p class="content">${one.content}</p>
      <p class="meta"><${Mark} kind=${one.error ? "failed" : "pending"} /></p>
    </div>
    ${
      one.error &&
      html`<p class="failure" role="alert">
      ${one.error}
      <button type="button" class="plain" onClick=${() => session.sendAgain(one)}>Try again</button>
      <button type="button" class="plain" onClick=${() => session.discard(one)}>Discard</button>
    </p>`
    }
  </li>`;
}
