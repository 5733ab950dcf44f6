// The last frames of a pane, for the inspector. Tokens are left out before anything is kept.
import { signal } from "@preact/signals";

const MOST = 400;
const TOKEN = /("token":")[^"]*"/g;

export class Frames {
  list = signal([]); // {number, direction, text, type, at}, the oldest first
  counts = signal({ in: 0, out: 0 });
  #number = 0;
  #fresh = [];

  /** Keep a frame; the list changes once per turn of the page, however many come. */
  add({ direction, text }) {
    const shown = text.replace(TOKEN, '$1…"');
    const type = /"type":"([a-z_]+)"/.exec(shown)?.[1] ?? "";
    if (!this.#fresh.length) requestAnimationFrame(() => this.#flush());
    this.#fresh.push({ number: ++this.#number, direction, text: shown, type, at: new Date() });
  }

  clear() {
    this.list.value = [];
  }

  #flush() {
    const counts = { ...this.counts.value };
    for (const { direction } of this.#fresh) counts[direction]++;
    this.counts.value = counts;
    this.list.value = [...this.list.value, ...this.#fresh].slice(-MOST);
    this.#fresh = [];
  }
}
