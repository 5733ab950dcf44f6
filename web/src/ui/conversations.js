// The list of conversations, and how new ones begin.
import { useRef } from "preact/hooks";
import { html } from "../html.js";
import { last, title } from "../store/conversations.js";
import { openPerson } from "../store/reading.js";
import { GroupDialog, PersonDialog } from "./dialogs.js";
import { Avatar, Icon } from "./icons.js";
import { clock } from "./times.js";

export function Conversations({ session }) {
  const person = useRef();
  const group = useRef();
  const list = session.list.value;
  const owner = session.me.value?.displayName ?? "nobody yet";
  return html`<nav class="conversations" aria-label=${`Conversations of ${owner}`}>
    <div class="new">
      <button type="button" onClick=${() => person.current.showModal()}>
        <${Icon} name="plus" />Chat
      </button>
      <button type="button" onClick=${() => group.current.showModal()}>
        <${Icon} name="group" />Group
      </button>
    </div>
    <ul>
      ${list.map((one) => html`<${Entry} key=${one.id} session=${session} conversation=${one} />`)}
    </ul>
    ${!list.length && html`<${Suggestions} session=${session} />`}
    <${PersonDialog} dialog=${person} session=${session} />
    <${GroupDialog} dialog=${group} session=${session} />
  </nav>`;
}

function Entry({ session, conversation }) {
  const { id, unread, isMentioned, person, group, at } = conversation;
  const isCurrent = id === session.selected.value;
  const name = title(conversation);
  const isOnline = person && session.online.value.has(person.userId);
  return html`<li>
    <button
      type="button"
      class="entry"
      aria-current=${isCurrent ? "true" : undefined}
      onClick=${() => (session.selected.value = id)}
    >
      <${Avatar} id=${person?.userId ?? id} name=${name} isOnline=${isOnline} isGroup=${group} />
      <span class="entry-name">${name}</span>
      <time>${clock(at)}</time>
      <span class="entry-more">
        <span class="entry-text">${summary(session, conversation)}</span>
        ${isMentioned && html`<span class="badge is-mention">@<span class="unseen">mentions you</span></span>`}
        ${unread > 0 && html`<${Unread} count=${unread} />`}
      </span>
    </button>
  </li>`;
}

function Unread({ count }) {
  return html`<span class="badge">
    ${count > 99 ? "99+" : count}<span class="unseen"> unread</span>
  </span>`;
}

function summary(session, conversation) {
  const typing = Object.values(conversation.typing);
  if (typing.length) return html`<em>${typing.join(", ")} …</em>`;
  const message = last(conversation);
  if (!message)
    return conversation.group ? `${conversation.members.length} members` : "No messages yet";
  const isMine = message.senderId === session.me.value?.userId;
  const name = isMine ? "You" : conversation.group && message.username;
  return name ? `${name}: ${message.content}` : message.content;
}

function Suggestions({ session }) {
  const people = session.people.value;
  if (!people.length) return html`<p class="hint">Nobody else is here yet.</p>`;
  return html`<div class="suggestions">
    <p class="hint">People</p>
    ${people.map(
      ({ userId, displayName }) => html`<button
        type="button"
        key=${userId}
        onClick=${() => openPerson(session, userId)}
      >
        <${Avatar} id=${userId} name=${displayName} isOnline=${session.online.value.has(userId)} />
        ${displayName}
      </button>`,
    )}
  </div>`;
}
