// The open conversation: its head, its messages, and where one writes.
import { signal } from "@preact/signals";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { last, title } from "../store/conversations.js";
import { markRead, readOlder } from "../store/reading.js";
import { Composer } from "./composer.js";
import { Avatar, IconButton } from "./icons.js";
import { Members } from "./members.js";
import { Message, Outgoing } from "./message.js";
import { Pins } from "./pins.js";
import { day } from "./times.js";

const NEAR = 80; // pixels from an end of the list

export function Thread({ session, isVisible }) {
  const conversation = session.current.value;
  // What the composer is about: {kind: "reply" or "edit", message}, or null.
  const draft = useMemo(() => signal(null), []);
  const [side, setSide] = useState(null); // "members", "pins" or null
  useReading(session, conversation, isVisible);
  if (!conversation) return null;
  const toggle = (name) => () => setSide(side === name ? null : name);
  return html`<div class="thread">
    <${Head} session=${session} conversation=${conversation} side=${side} toggle=${toggle} />
    ${
      side === "members" &&
      html`<${Members} session=${session} conversation=${conversation} onClose=${toggle("members")} />`
    }
    ${
      side === "pins" &&
      html`<${Pins} session=${session} conversation=${conversation} onClose=${toggle("pins")} />`
    }
    <${List} session=${session} conversation=${conversation} draft=${draft} />
    <${Typing} conversation=${conversation} />
    <${Composer} session=${session} conversation=${conversation} draft=${draft} />
  </div>`;
}

function Head({ session, conversation, side, toggle }) {
  const { person, group, members } = conversation;
  const name = title(conversation);
  const isOnline = person && session.online.value.has(person.userId);
  const about = group ? describe(group, members) : isOnline ? "online" : "offline";
  return html`<header class="thread-head">
    <${IconButton}
      icon="back"
      label="All conversations"
      class="icon-button only-narrow"
      onClick=${() => (session.selected.value = null)}
    />
    <${Avatar} id=${person?.userId ?? conversation.id} name=${name} isOnline=${isOnline} isGroup=${group} />
    <div class="thread-title">
      <h2>${name}</h2>
      <p>${about}</p>
    </div>
    <${IconButton}
      icon="pin"
      label="Pinned messages"
      aria-pressed=${side === "pins"}
      onClick=${toggle("pins")}
    />
    ${
      group
        ? html`<${IconButton}
            icon="group"
            label="Members"
            aria-pressed=${side === "members"}
            onClick=${toggle("members")}
          />`
        : html`<${IconButton}
            icon="trash"
            label="Delete this conversation for me"
            onClick=${() => hide(session, conversation)}
          />`
    }
  </header>`;
}

function describe({ memberCount, groupDescription }, members) {
  const count = `${members.length || memberCount} members`;
  return groupDescription ? `${count} · ${groupDescription}` : count;
}

async function hide(session, { id }) {
  if (await session.ask("delete_conversation", { conversationId: id })) session.drop(id);
}

function List({ session, conversation, draft }) {
  const box = useRef();
  const view = useRef({ isAtEnd: true, height: 0, firstId: null, isReading: false });
  const { messages, hasMore, readSeq, id } = conversation;
  const outgoing = session.outgoing.value.filter((one) => one.conversationId === id);

  // New messages scroll along when one is at the end; older ones leave what one looks at in place.
  useLayoutEffect(() => {
    const { current: list } = box;
    const { isAtEnd, height, firstId } = view.current;
    const isLonger = firstId !== null && messages[0]?.id !== firstId;
    if (isAtEnd) list.scrollTop = list.scrollHeight;
    else if (isLonger) list.scrollTop += list.scrollHeight - height;
    Object.assign(view.current, { height: list.scrollHeight, firstId: messages[0]?.id ?? null });
  }, [messages, outgoing.length]);

  const readMore = async () => {
    if (view.current.isReading || !hasMore || session.state.value.name !== "online") return;
    view.current.isReading = true;
    await readOlder(session, conversation);
    view.current.isReading = false;
  };
  const onScroll = () => {
    const { scrollTop, scrollHeight, clientHeight } = box.current;
    view.current.isAtEnd = scrollHeight - scrollTop - clientHeight < NEAR;
    if (scrollTop < NEAR) readMore();
  };
  return html`<div class="messages" ref=${box} onScroll=${onScroll} onKeyDown=${onArrow}>
    ${
      hasMore
        ? html`<button type="button" class="plain older" onClick=${readMore}>Older messages</button>`
        : html`<p class="start">This is where it begins.</p>`
    }
    <ol>
      ${messages.map((message, index) => {
        const before = messages[index - 1];
        const isNewDay = day(message.timestamp) !== (before && day(before.timestamp));
        return html`
          ${isNewDay && html`<li class="day" key=${`day ${message.id}`}>${day(message.timestamp)}</li>`}
          <${Message}
            key=${message.id}
            session=${session}
            conversation=${conversation}
            message=${message}
            isFirst=${isNewDay || before?.senderId !== message.senderId}
            isLast=${index === messages.length - 1}
            isRead=${message.isRead || message.seq <= readSeq}
            draft=${draft}
          />
        `;
      })}
      ${outgoing.map((one) => html`<${Outgoing} key=${one.clientMessageId} session=${session} one=${one} />`)}
    </ol>
  </div>`;
}

/** The arrow keys go from message to message. */
function onArrow(event) {
  const message = event.target.closest(".message");
  if (event.altKey || !message || (event.key !== "ArrowUp" && event.key !== "ArrowDown")) return;
  event.preventDefault();
  const all = [...event.currentTarget.querySelectorAll(".message")];
  all[all.indexOf(message) + (event.key === "ArrowUp" ? -1 : 1)]?.focus();
}

function Typing({ conversation }) {
  const names = Object.values(conversation.typing);
  if (!names.length) return html`<p class="typing"></p>`;
  const text = names.length === 1 ? `${names[0]} is writing` : `${names.join(", ")} are writing`;
  return html`<p class="typing"><span class="dots" aria-hidden="true"><i></i><i></i><i></i></span>${text}</p>`;
}

/** What is looked at is read. */
function useReading(session, conversation, isVisible) {
  const newest = conversation && last(conversation)?.id;
  const unread = conversation?.unread;
  const isOnline = session.state.value.name === "online";
  useEffect(() => {
    const look = () => {
      const isShown = isVisible || matchMedia("(min-width: 60rem)").matches;
      if (isShown && isOnline && conversation && unread && !document.hidden)
        markRead(session, conversation);
    };
    look();
    document.addEventListener("visibilitychange", look);
    return () => document.removeEventListener("visibilitychange", look);
  }, [newest, unread, isVisible, isOnline]);
}
