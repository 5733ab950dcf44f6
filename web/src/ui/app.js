// The whole page: the bar, the panes, and the tools below.
import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { html } from "../html.js";
import { points, watch } from "../store/metrics.js";
import { Charts } from "./charts.js";
import { Help } from "./help.js";
import { Icon, IconButton } from "./icons.js";
import { Inspector } from "./inspector.js";
import { Pane } from "./pane.js";
import { SignIn } from "./signin.js";
import { nextTheme, theme } from "./theme.js";

const isWide = matchMedia("(min-width: 60rem)").matches;
const tool = signal(isWide ? "charts" : null); // what is shown below: "charts", "frames" or null
const front = signal(0); // which pane a narrow page shows
const MOST_PANES = 2;

export function App({ panes, directory }) {
  const help = useRef();
  useEffect(watch, []);
  useEffect(() => {
    const onKey = (event) => onShortcut(event, help.current);
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
  const sessions = panes.value;
  const replace = (old, next) => {
    old.close();
    panes.value = panes.value.map((one) => (one === old ? next : one));
  };
  const leave = (old) => {
    old.close();
    panes.value = panes.value.filter((one) => one !== old);
  };
  const enter = (session) => (panes.value = [...panes.value, session]);
  const canSignIn = !directory.users.length && sessions.length < MOST_PANES;
  return html`
    <header class="bar">
      <h1><img src="/demo/icon.svg" alt="" width="28" height="28" />fastchat</h1>
      <${Figures} />
      <div class="bar-buttons">
        <${Toggle} name="charts" icon="chart" label="Charts" />
        <${Toggle} name="frames" icon="code" label="Inspector" />
        <${IconButton}
          icon=${theme.value === "dark" ? "moon" : "sun"}
          label=${`Colours: ${theme.value}. Change`}
          onClick=${nextTheme}
        />
        <${IconButton} icon="help" label="Help and keys" onClick=${() => help.current.showModal()} />
      </div>
    </header>
    ${sessions.length > 1 && html`<${PaneTabs} sessions=${sessions} />`}
    <main class="panes">
      ${sessions.map(
        (session, index) => html`<${Pane}
          key=${session}
          session=${session}
          index=${index}
          isFront=${index === front.value || sessions.length === 1}
          users=${directory.users}
          onSwitch=${(user) => replace(session, directory.enter(user))}
          onLeave=${directory.users.length ? null : () => leave(session)}
        />`,
      )}
      ${canSignIn && html`<${SignIn} directory=${directory} onEnter=${enter} />`}
    </main>
    ${tool.value === "charts" && html`<${Charts} />`}
    ${tool.value === "frames" && html`<${Inspector} sessions=${sessions} front=${front.value} />`}
    <${Help} dialog=${help} />
  `;
}

function Toggle({ name, icon, label }) {
  const isOn = tool.value === name;
  return html`<button
    type="button"
    class="toggle"
    aria-label=${label}
    aria-pressed=${isOn}
    onClick=${() => (tool.value = isOn ? null : name)}
  >
    <${Icon} name=${icon} /><span>${label}</span>
  </button>`;
}

function Figures() {
  const now = points.value.at(-1);
  if (!now) return html`<p class="figures"></p>`;
  const connections = now.workers.reduce((sum, [, count]) => sum + count, 0);
  const latency = now.p50 === null ? "–" : `${now.p50.toFixed(1)} ms`;
  return html`<p class="figures">
    <span><b>${connections}</b> connections</span>
    <span><b>${Math.round(now.stored)}</b> messages/s</span>
    <span><b>${latency}</b> to disk, median</span>
  </p>`;
}

function PaneTabs({ sessions }) {
  return html`<nav class="pane-tabs" aria-label="Users">
    ${sessions.map(
      (session, index) => html`<button
        type="button"
        key=${index}
        aria-pressed=${index === front.value}
        onClick=${() => (front.value = index)}
      >
        ${session.me.value?.displayName ?? "…"}
        ${session.unread.value > 0 && html`<span class="badge">${session.unread.value}</span>`}
      </button>`,
    )}
  </nav>`;
}

function onShortcut(event, help) {
  const isTyping = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
  if (event.key === "?" && !isTyping) help.showModal();
  if (event.altKey && /^[1-9]$/.test(event.key)) {
    const index = Number(event.key) - 1;
    const pane = document.querySelectorAll(".pane")[index];
    if (!pane) return;
    event.preventDefault();
    front.value = index;
    const focus = (target) => pane.querySelector(target)?.focus();
    requestAnimationFrame(() =>
      focus(pane.matches(".has-thread") ? ".composer textarea" : ".new button"),
    );
  }
}
