// Where one writes: new messages, answers, edits, and mentions.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { Icon, IconButton } from "./icons.js";

const TYPING_EVERY = 2000; // milliseconds
const WIDE = "(min-width: 60rem)"; // where there is a keyboard, most likely

export function Composer({ session, conversation, draft }) {
  const field = useRef();
  const [text, setText] = useState(session.drafts.get(conversation.id) ?? "");
  const [caret, setCaret] = useState(0);
  const [choice, setChoice] = useState(0);
  const tell = useTyping(session, conversation);
  const { kind, message } = draft.value ?? {};
  const found = findMention(conversation, session.me.value, text, caret);

  // Before the next key: what is typed at once must not be overwritten.
  useLayoutEffect(() => {
    if (kind === "edit") setText(message.content);
    if (kind) field.current.focus();
  }, [draft.value]);
  useEffect(() => {
    // Whoever opened the conversation writes next; nobody else's focus is taken.
    const pane = field.current.closest(".pane");
    if (pane.contains(document.activeElement) && matchMedia(WIDE).matches) field.current.focus();
  }, []);
  useEffect(() => {
    if (kind !== "edit") session.drafts.set(conversation.id, text);
    field.current.style.height = "auto";
    field.current.style.height = `${field.current.scrollHeight}px`;
  }, [text]);

  const reset = () => {
    draft.value = null;
    setText("");
  };
  const submit = async (event) => {
    event?.preventDefault();
    if (!text.trim()) return;
    tell(false);
    if (kind === "edit") {
      const { id: messageId, conversationId } = message;
      const answer = await session.ask("edit_message", {
        messageId,
        conversationId,
        content: text,
      });
      if (!answer) return;
    } else {
      session.send(conversation, text, kind === "reply" ? message : null);
    }
    reset();
  };
  const mention = (name) => {
    const begun = `${text.slice(0, found.start)}@${name} `;
    setText(begun + text.slice(found.end));
    setCaret(begun.length);
    setChoice(0);
    field.current.focus();
  };
  const onKey = (event) => {
    if (event.isComposing || event.altKey) return;
    const { key } = event;
    const isListed = found.names.length > 0;
    if (isListed && (key === "ArrowUp" || key === "ArrowDown")) {
      const by = key === "ArrowUp" ? -1 : 1;
      setChoice((choice + by + found.names.length) % found.names.length);
    } else if (isListed && (key === "Enter" || key === "Tab"))
      mention(found.names[choice] ?? found.names[0]);
    else if (key === "Enter" && !event.shiftKey) submit();
    else if (key === "Escape" && draft.value) reset();
    else if (key === "ArrowUp" && !text) editLast(session, conversation, draft);
    else return;
    event.preventDefault();
  };
  return html`<form class="composer" onSubmit=${submit}>
    ${
      kind &&
      html`<div class="draft">
      <${Icon} name=${kind} />
      <p><b>${kind === "edit" ? "Edit" : `Reply to ${message.username}`}</b><span>${message.content}</span></p>
      <${IconButton} icon="close" label="Never mind" onClick=${reset} />
    </div>`
    }
    ${
      found.names.length > 0 &&
      html`<ul class="mentions" role="listbox" aria-label="Members">
      ${found.names.map(
        (name, index) => html`<li key=${name} role="option" aria-selected=${index === choice}>
          <button type="button" tabindex="-1" onClick=${() => mention(name)}>@${name}</button>
        </li>`,
      )}
    </ul>`
    }
    <div class="row">
      <textarea
        ref=${field}
        rows="1"
        aria-label="Message"
        placeholder="Write a message"
        value=${text}
        onInput=${(event) => {
          setText(event.target.value);
          setCaret(event.target.selectionStart);
          tell(event.target.value.trim() !== "");
        }}
        onSelect=${(event) => setCaret(event.target.selectionStart)}
        onKeyDown=${onKey}
      ></textarea>
      <button class="primary send" aria-label="Send" title="Send" disabled=${!text.trim()}>
        <${Icon} name=${kind === "edit" ? "check" : "send"} />
      </button>
    </div>
  </form>`;
}

function editLast(session, conversation, draft) {
  const me = session.me.value.userId;
  const message = conversation.messages.findLast(({ senderId }) => senderId === me);
  if (message) draft.value = { kind: "edit", message };
}

const MOST_NAMES = 6;

/** The members whose names begin as what is being written: `{names, start, end}`. */
function findMention({ group, members }, me, text, end) {
  const match = group && /(?:^|\s)@(\S*)$/.exec(text.slice(0, end));
  if (!match) return { names: [] };
  const begun = match[1].toLowerCase();
  const names = members
    .filter(({ userId }) => userId !== me.userId)
    .map(({ username }) => username);
  const found = [...names, "everyone"].filter((name) => name.toLowerCase().startsWith(begun));
  return { names: found.slice(0, MOST_NAMES), start: end - match[1].length - 1, end };
}

/** Returns a function that says whether one is writing, no more often than the server needs it. */
function useTyping(session, { person, group }) {
  const told = useRef(0);
  return (isTyping) => {
    const now = Date.now();
    if (isTyping ? now - told.current < TYPING_EVERY : !told.current) return;
    told.current = isTyping ? now : 0;
    const target = group ? { groupId: group.groupId } : { recipientId: person.userId };
    session.client.request("typing", { ...target, isTyping }).catch(() => undefined);
  };
}
