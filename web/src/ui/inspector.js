// Every frame of every pane, as it crossed the wire; only tokens are left out.
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { precise } from "./times.js";

const QUIET = new Set(["ping", "pong", "user_typing", "typing"]);
const NEAR = 40; // pixels

export function Inspector({ sessions, front }) {
  const [filter, setFilter] = useState("");
  const [isQuiet, setIsQuiet] = useState(true);
  const clear = () => sessions.forEach(({ frames }) => frames.clear());
  return html`<section class="tools inspector" aria-label="Inspector">
    <header>
      <h2>Frames</h2>
      <input
        type="search"
        aria-label="Show frames with this text"
        placeholder="Filter"
        value=${filter}
        onInput=${(event) => setFilter(event.target.value)}
      />
      <label class="check">
        <input type="checkbox" checked=${isQuiet} onChange=${() => setIsQuiet(!isQuiet)} />without pings and typing
      </label>
      <button type="button" class="plain" onClick=${clear}>Clear</button>
    </header>
    <div class="frame-columns">
      ${sessions.map(
        (session, index) => html`<${Column}
          key=${index}
          isFront=${index === front}
          session=${session}
          filter=${filter}
          isQuiet=${isQuiet}
        />`,
      )}
    </div>
  </section>`;
}

function Column({ session, isFront, filter, isQuiet }) {
  const box = useRef();
  const isAtEnd = useRef(true);
  const [open, setOpen] = useState(null); // number of a frame
  const { list, counts } = session.frames;
  const needle = filter.toLowerCase();
  const shown = list.value.filter(
    ({ type, text }) => !(isQuiet && QUIET.has(type)) && text.toLowerCase().includes(needle),
  );
  useLayoutEffect(() => {
    if (isAtEnd.current) box.current.scrollTop = box.current.scrollHeight;
  }, [shown.length, list.value]);
  const onScroll = () => {
    const { scrollTop, scrollHeight, clientHeight } = box.current;
    isAtEnd.current = scrollHeight - scrollTop - clientHeight < NEAR;
  };
  return html`<div class=${isFront ? "frame-column is-front" : "frame-column"}>
    <h3>${session.me.value?.displayName ?? "…"} <small>↑ ${counts.value.out} ↓ ${counts.value.in}</small></h3>
    <ol class="frames" ref=${box} onScroll=${onScroll} tabindex="0" aria-label="Frames">
      ${shown.map(
        (frame) => html`<${Frame}
          key=${frame.number}
          frame=${frame}
          isOpen=${open === frame.number}
          onToggle=${() => setOpen(open === frame.number ? null : frame.number)}
        />`,
      )}
    </ol>
  </div>`;
}

function Frame({ frame, isOpen, onToggle }) {
  const { direction, text, type, at } = frame;
  const [arrow, name] = direction === "in" ? ["↓", "received"] : ["↑", "sent"];
  return html`<li class=${`is-${direction}`}>
    <button type="button" aria-expanded=${isOpen} onClick=${onToggle}>
      <span class="arrow" role="img" aria-label=${name}>${arrow}</span>
      <time>${precise(at)}</time><b>${type}</b><span class="raw">${text}</span>
    </button>
    ${isOpen && html`<pre>${JSON.stringify(JSON.parse(text), null, 2)}</pre>`}
  </li>`;
}
