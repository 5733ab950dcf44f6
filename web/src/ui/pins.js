// The pinned messages of a conversation.
import { useEffect, useState } from "preact/hooks";
import { html } from "../html.js";
import { IconButton } from "./icons.js";
import { clock } from "./times.js";

export function Pins({ session, conversation, onClose }) {
  const [pins, setPins] = useState(null);
  const pinned = conversation.messages.filter(({ isPinned }) => isPinned).map(({ id }) => id);
  useEffect(() => {
    let isOver = false;
    session
      .ask("get_pinned_messages", { conversationId: conversation.id })
      .then((found) => !isOver && setPins(found?.messages ?? []));
    return () => (isOver = true);
  }, [pinned.join(" ")]);
  return html`<aside class="side" aria-label="Pinned messages">
    <header>
      <h3>Pinned</h3>
      <${IconButton} icon="close" label="Close" onClick=${onClose} />
    </header>
    ${pins?.length === 0 && html`<p class="hint">Nothing is pinned.</p>`}
    <ul class="pins">
      ${pins?.map(
        ({ id, username, content, timestamp }) => html`<li key=${id}>
          <p><b>${username}</b> <time>${clock(timestamp)}</time></p>
          <p class="content">${content}</p>
        </li>`,
      )}
    </ul>
  </aside>`;
}
