// The server's figures: read once a second while somebody looks, and what follows from two readings.
import { signal } from "@preact/signals";

const INTERVAL = 1000; // milliseconds
const KEPT = 90; // readings
const WINDOW = 10; // readings over which percentiles are taken
const LATENCY = "fastchat_send_to_ack_seconds_bucket";
const LINE = /^([a-z_]+)(?:\{([^}]*)\})? (\S+)$/;

/** Points, the oldest first: `{at, stored, delivered, p50, p99, workers: [[name, connections]]}`. */
export const points = signal([]);
export const isLive = signal(false);

let readings = [];
let timer;

/** Begin to read; the function that is returned ends it. */
export function watch() {
  const tick = async () => {
    await read();
    timer = setTimeout(tick, INTERVAL);
  };
  tick();
  return () => clearTimeout(timer);
}

async function read() {
  try {
    const answer = await fetch("/metrics/prometheus");
    const reading = parse(await answer.text());
    reading.at = performance.now();
    readings = [...readings, reading].slice(-WINDOW - 1);
    isLive.value = true;
    if (readings.length > 1) points.value = [...points.value, point()].slice(-KEPT);
  } catch {
    isLive.value = false;
  }
}

/** Read the text format of Prometheus: what the charts need of it. */
export function parse(text) {
  const found = { stored: 0, delivered: 0, buckets: [], workers: [] };
  for (const line of text.split("\n")) {
    const [, name, labels = "", value] = LINE.exec(line) ?? [];
    const label = /="([^"]*)"/.exec(labels)?.[1];
    if (name === "fastchat_messages_stored_total") found.stored = Number(value);
    if (name === "fastchat_messages_out_total") found.delivered = Number(value);
    if (name === "fastchat_worker_connections") found.workers.push([label, Number(value)]);
    if (name === LATENCY) found.buckets.push([label === "+Inf" ? Infinity : +label, +value]);
  }
  return found;
}

/** The point that follows from the readings of the window. */
function point() {
  const [first, before, now] = [readings[0], readings.at(-2), readings.at(-1)];
  const seconds = (now.at - before.at) / 1000;
  const rate = (name) => Math.max(0, (now[name] - before[name]) / seconds);
  const buckets = now.buckets.map(([bound, count], index) => [
    bound,
    count - (first.buckets[index]?.[1] ?? 0),
  ]);
  return {
    at: now.at,
    stored: rate("stored"),
    delivered: rate("delivered"),
    p50: quantile(buckets, 0.5),
    p99: quantile(buckets, 0.99),
    workers: now.workers,
  };
}

/** Milliseconds below which a share of the observations lies; null where there are none. */
export function quantile(buckets, share) {
  const total = buckets.at(-1)?.[1] ?? 0;
  if (total <= 0) return null;
  let [lower, below] = [0, 0];
  for (const [bound, count] of buckets) {
    if (count >= share * total) {
      if (bound === Infinity) return lower * 1000;
      const part = (share * total - below) / (count - below || 1);
      return (lower + (bound - lower) * part) * 1000;
    }
    [lower, below] = [bound, count];
  }
  return lower * 1000;
}
