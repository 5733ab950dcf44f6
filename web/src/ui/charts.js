// Live charts of the server's figures, over all its workers.
import { html } from "../html.js";
import { isLive, points } from "../store/metrics.js";

const [WIDTH, HEIGHT] = [360, 96];
const KEPT = 90; // points

export function Charts() {
  const list = points.value;
  const now = list.at(-1);
  const rate = (value) => (value >= 100 ? value.toFixed(0) : value.toFixed(1));
  const ms = (value) => (value === null || value === undefined ? "–" : `${value.toFixed(1)} ms`);
  return html`<section class="tools charts" aria-label="Charts">
    ${!isLive.value && html`<p class="hint">The server does not answer.</p>`}
    <${Chart}
      title="Messages/s"
      list=${list}
      lines=${[
        { name: "stored", value: ({ stored }) => stored, now: now && rate(now.stored) },
        { name: "sent out", value: ({ delivered }) => delivered, now: now && rate(now.delivered) },
      ]}
      least=${5}
    />
    <${Chart}
      title="Send to disk, 10 s"
      list=${list}
      lines=${[
        { name: "p50", value: ({ p50 }) => p50, now: ms(now?.p50) },
        { name: "p99", value: ({ p99 }) => p99, now: ms(now?.p99) },
      ]}
      unit=" ms"
      least=${2}
    />
    <${Workers} workers=${now?.workers ?? []} />
  </section>`;
}

function Chart({ title, list, lines, unit = "", least }) {
  const all = list.flatMap((point) => lines.map(({ value }) => value(point) ?? 0));
  const top = niceTop(Math.max(least, ...all));
  const text = lines.map(({ name, now }) => `${name} ${now ?? "–"}`).join(", ");
  return html`<figure>
    <figcaption>
      <h3>${title}</h3>
      ${lines.map(
        ({ name, now }, index) => html`<span key=${name} class=${`key is-${index}`}>
          ${name} <b>${now ?? "–"}</b>
        </span>`,
      )}
    </figcaption>
    <svg viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label=${`${title}: ${text}`} preserveAspectRatio="none">
      ${[0.25, 0.5, 0.75].map(
        (part) =>
          html`<line class="grid" x1="0" x2=${WIDTH} y1=${HEIGHT * part} y2=${HEIGHT * part} />`,
      )}
      ${lines.map(
        ({ value }, index) => html`
        <path class=${`area is-${index}`} d=${path(list, value, top, true)} />
        <path class=${`line is-${index}`} d=${path(list, value, top, false)} />
      `,
      )}
    </svg>
    <p class="scale" aria-hidden="true"><span>${top}${unit}</span><span>0</span></p>
  </figure>`;
}

/** The path of a line, the newest point at the right; it breaks where there is no value. */
function path(list, value, top, isArea) {
  const step = WIDTH / (KEPT - 1);
  const start = WIDTH - (list.length - 1) * step;
  const runs = [[]];
  list.forEach((point, index) => {
    const found = value(point);
    if (found === null) runs.push([]);
    else
      runs
        .at(-1)
        .push([start + index * step, HEIGHT - (Math.min(found, top) / top) * (HEIGHT - 2) - 1]);
  });
  return runs
    .filter((run) => run.length)
    .map((run) => {
      const line = run.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L");
      if (!isArea) return `M${line}`;
      return `M${run[0][0].toFixed(1)} ${HEIGHT}L${line}L${run.at(-1)[0].toFixed(1)} ${HEIGHT}Z`;
    })
    .join("");
}

/** The least of 1, 2, 5 times a power of ten that is not below. */
function niceTop(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((one) => one * power).find((one) => one >= value);
}

function Workers({ workers }) {
  const most = Math.max(1, ...workers.map(([, count]) => count));
  return html`<figure>
    <figcaption><h3>Connections per worker</h3></figcaption>
    <ul class="workers">
      ${workers.map(
        ([name, count]) => html`<li key=${name}>
          <span>worker ${name}</span>
          <meter min="0" max=${most} value=${count} aria-label=${`worker ${name}`}></meter>
          <b>${count}</b>
        </li>`,
      )}
    </ul>
  </figure>`;
}
