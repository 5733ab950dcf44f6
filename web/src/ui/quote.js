// The message that another one answers.
import { html } from "../html.js";

export function Quote({ message, onClick }) {
  if (!message) return html`<p class="quote is-gone">An earlier message</p>`;
  return html`<button type="button" class="quote" onClick=${onClick}>
    <b>${message.username}</b><span>${message.content}</span>
  </button>`;
}
