// One user: his connection, his conversations, and the one that is open.
import { useEffect, useRef } from "preact/hooks";
import { html } from "../html.js";
import { Conversations } from "./conversations.js";
import { Avatar, Icon, IconButton } from "./icons.js";
import { Status } from "./status.js";
import { Thread } from "./thread.js";

export function Pane({ session, index, isFront, users, onSwitch, onLeave }) {
  const me = session.me.value;
  const name = me?.displayName ?? "Signing in";
  const isCut = session.wire.isCut.value;
  const hasThread = session.current.value !== null;
  const onKey = (event) => {
    if (event.altKey && (event.key === "ArrowUp" || event.key === "ArrowDown")) {
      event.preventDefault();
      step(session, event.key === "ArrowUp" ? -1 : 1);
    }
  };
  const classes = ["pane", isFront && "is-front", hasThread && "has-thread", isCut && "is-cut"];
  return html`<section
    class=${classes.filter(Boolean).join(" ")}
    aria-label=${name}
    data-user=${me?.username}
    onKeyDown=${onKey}
  >
    <header class="pane-head">
      <${Avatar} id=${me?.userId ?? index} name=${name} />
      ${
        users.length
          ? html`<${UserChoice} me=${me} users=${users} onSwitch=${onSwitch} />`
          : html`<h2>${name}</h2>`
      }
      <${Status} session=${session} />
      <button
        type="button"
        class=${isCut ? "wire mend" : "wire cut"}
        aria-label=${isCut ? "Mend the wire" : "Cut the wire"}
        onClick=${() => (isCut ? session.mend() : session.cut())}
      >
        <${Icon} name=${isCut ? "link" : "cut"} />
        <span>${isCut ? "Mend the wire" : "Cut the wire"}</span>
      </button>
      ${onLeave && html`<${IconButton} icon="leave" label="Sign out" onClick=${onLeave} />`}
    </header>
    <${Notice} session=${session} />
    <div class="pane-body">
      <${Conversations} session=${session} />
      ${
        hasThread
          ? html`<${Thread} key=${session.selected.value} session=${session} isVisible=${isFront} />`
          : html`<div class="thread nothing"><p>Choose a conversation, or begin a new one.</p></div>`
      }
    </div>
    <div class="unseen" aria-live="polite" aria-atomic="true">${session.announcement.value}</div>
  </section>`;
}

function UserChoice({ me, users, onSwitch }) {
  const choose = (event) => onSwitch(users.find(({ userId }) => userId === event.target.value));
  return html`<label class="user-choice">
    <span class="unseen">User of this pane</span>
    <select value=${me?.userId} onChange=${choose}>
      ${users.map(
        ({ userId, displayName }) =>
          html`<option key=${userId} value=${userId} selected=${userId === me?.userId}>${displayName}</option>`,
      )}
    </select>
  </label>`;
}

const NOTICE_TIME = 9000; // milliseconds

function Notice({ session }) {
  const notice = session.notice.value;
  const timer = useRef();
  const close = () => (session.notice.value = null);
  useEffect(() => {
    clearTimeout(timer.current);
    if (notice) timer.current = setTimeout(close, NOTICE_TIME);
  }, [notice]);
  if (!notice) return null;
  return html`<p class=${notice.isError ? "notice is-error" : "notice"} role="status">
    <${Icon} name=${notice.isError ? "warn" : "check"} /><span>${notice.text}</span>
    <${IconButton} icon="close" label="Close" onClick=${close} />
  </p>`;
}

/** Go to the conversation above or below. */
function step(session, by) {
  const ids = session.list.value.map(({ id }) => id);
  if (!ids.length) return;
  const index = ids.indexOf(session.selected.value);
  session.selected.value = ids[Math.min(ids.length - 1, Math.max(0, index + by))];
}
