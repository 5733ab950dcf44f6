// What the keys do.
import { html } from "../html.js";
import { IconButton } from "./icons.js";

const KEYS = [
  ["Alt 1, Alt 2", "go to the first or the second user"],
  ["Alt ↑, Alt ↓", "the conversation above or below"],
  ["Enter", "send; with Shift a new line"],
  ["↑ in an empty field", "edit the last own message"],
  ["Esc", "forget a reply or an edit, close what is open"],
  ["↑, ↓ on a message", "the message above or below"],
  ["R, E, P, Delete on a message", "reply, edit, pin, delete"],
  ["1 to 6 on a message", "react"],
  ["@", "mention a member of the group"],
  ["?", "this list"],
];

export function Help({ dialog }) {
  const close = () => dialog.current.close();
  return html`<dialog ref=${dialog} class="dialog" aria-labelledby="help-title">
    <header>
      <h2 id="help-title">Keys</h2>
      <${IconButton} icon="close" label="Close" onClick=${close} />
    </header>
    <dl class="keys">
      ${KEYS.map(([key, text]) => html`<dt><kbd>${key}</kbd></dt><dd>${text}</dd>`)}
    </dl>
    <p class="hint">
      Cut the wire of one user, write with both, and mend it: what was written meanwhile arrives
      once, in order.
    </p>
  </dialog>`;
}
