// Icons, drawn on a grid of 24 by 24 with round strokes. They say nothing to screen readers.
import { html } from "../html.js";

const PATHS = {
  back: "M15 5l-7 7 7 7",
  bolt: "M13 3L5 13.500h6L10 21l8-10.500h-6z",
  chart: "M4 20V10m5.500 10V4M15 20v-7m5 7V8",
  check: "M5 12.500l4.500 4.500L19 7.500",
  checks: "M2 12.500l4.500 4.500L16 7.500M11.500 16l1 1L22 7.500",
  clock: "M12 7v5l3 2M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z",
  close: "M6 6l12 12M18 6L6 18",
  code: "M9 7l-5 5 5 5m6-10l5 5-5 5",
  cut: "M6 9a3 3 0 1 0 0-6 3 3 0 0 0 0 6zm0 12a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM8.200 8.200L20 20M8.200 15.800L20 4",
  edit: "M4 20h4L19 9l-4-4L4 16zM13 7l4 4",
  group:
    "M9 11a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7zm-6 9c0-3.500 2.500-6 6-6s6 2.500 6 6m1-9a3 3 0 1 0-1-5.800M17 14c2.500.500 4 2.800 4 6",
  help: "M9 9a3 3 0 1 1 4.500 2.600c-1 .600-1.500 1.200-1.500 2.400m0 3v.100M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z",
  leave: "M14 4h5v16h-5M10 8l-4 4 4 4m-4-4h10",
  link: "M9 15l6-6m-4-2l2-2a4.200 4.200 0 0 1 6 6l-2 2m-4 4l-2 2a4.200 4.200 0 0 1-6-6l2-2",
  moon: "M20 14.500A8.500 8.500 0 0 1 9.500 4 8.500 8.500 0 1 0 20 14.500z",
  pin: "M9 4h6l-1 6 4 4H6l4-4zM12 14v7",
  plus: "M12 5v14M5 12h14",
  reply: "M10 6l-6 6 6 6m-6-6h9c4 0 7 2 7 6",
  send: "M4 12l16-8-5 17-3.500-7z",
  smile:
    "M8.500 14.500c1 1.300 2.200 2 3.500 2s2.500-.700 3.500-2M9 9.500v.100m6-.100v.100M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zm0-6v2m0 16v2M2 12h2m16 0h2M5 5l1.400 1.400m11.200 11.200L19 19M5 19l1.400-1.400M17.600 6.400L19 5",
  trash: "M5 7h14M10 7V4h4v3m-7 0l1 13h8l1-13",
  warn: "M12 9v4m0 3.500v.100M12 4L2.500 20h19z",
};

export function Icon({ name }) {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d=${PATHS[name]} /></svg>`;
}

/** A button that shows only an icon, and has a name. */
export function IconButton({ icon, label, ...rest }) {
  return html`<button type="button" class="icon-button" aria-label=${label} title=${label} ...${rest}>
    <${Icon} name=${icon} />
  </button>`;
}

const HUES = 8;

/** Initials on a colour that follows from the id. */
export function Avatar({ id, name, isOnline, isGroup }) {
  const hue = [...String(id)].reduce((sum, char) => sum * 31 + char.charCodeAt(0), 7) % HUES;
  const initials = name
    .split(/\s+/)
    .slice(0, 2)
    .map((word) => [...word][0] ?? "")
    .join("");
  return html`<span class=${`avatar hue-${Math.abs(hue)} ${isGroup ? "of-group" : ""}`} aria-hidden="true">
    ${initials.toUpperCase()}
    ${isOnline && html`<span class="presence"></span>`}
  </span>`;
}
