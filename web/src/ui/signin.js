// Where there are no demo users, one brings a token.
import { useState } from "preact/hooks";
import { html } from "../html.js";

export function SignIn({ directory, onEnter }) {
  const [token, setToken] = useState("");
  const submit = (event) => {
    event.preventDefault();
    if (token.trim()) onEnter(directory.signIn(token.trim()));
    setToken("");
  };
  return html`<form class="sign-in" onSubmit=${submit}>
    <h2>Sign in with a token</h2>
    ${directory.problem && html`<p class="problem" role="alert">${directory.problem}</p>`}
    <p>
      In development, open the link that the server printed at its start. Elsewhere a token is made
      by your backend, or by <code>fastchat gentoken --user ID</code>.
    </p>
    <label>
      Token
      <input
        type="password"
        autocomplete="off"
        spellcheck=${false}
        value=${token}
        onInput=${(event) => setToken(event.target.value)}
      />
    </label>
    <button class="primary" disabled=${!token.trim()}>Sign in</button>
    <p class="hint">It is kept in the memory of this page only.</p>
  </form>`;
}
