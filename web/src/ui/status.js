// How the connection is, with the time until the next try.
import { useEffect, useState } from "preact/hooks";
import { html } from "../html.js";

const TEXTS = {
  idle: "Not connected",
  connecting: "Connecting…",
  authenticating: "Logging in…",
  syncing: "Catching up…",
  online: "Online",
  closed: "Not connected",
};

export function Status({ session }) {
  const state = session.state.value;
  const waiting = session.outgoing.value.length;
  const left = useCountdown(state.name === "waiting" ? state.retryAt : null);
  const isWaiting = state.name === "waiting";
  const text = isWaiting ? `Next try in ${left} s` : TEXTS[state.name];
  return html`<div class=${`status is-${state.name}`} data-state=${state.name} title=${state.reason || undefined}>
    <span class="dot" aria-hidden="true"></span>
    <span class="status-text">${text}</span>
    ${waiting > 0 && html`<span class="outbox" title="Messages that wait in the outbox">${waiting} waiting</span>`}
    ${
      isWaiting &&
      html`<button type="button" class="plain" onClick=${() => session.client.connect()}>Now</button>`
    }
  </div>`;
}

/** Seconds until a time; it changes as they go by. */
function useCountdown(time) {
  const [, redraw] = useState(0);
  useEffect(() => {
    if (time === null) return;
    const timer = setInterval(() => redraw((count) => count + 1), 200);
    return () => clearInterval(timer);
  }, [time]);
  return time === null ? 0 : Math.max(0, Math.ceil((time - Date.now()) / 1000));
}
