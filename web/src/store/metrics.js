// The server's figures: read once a second while somebody looks, and what follows from two readings.
import { signal } from "@preact/signals";
import { parse, quantile } from "./figures.js";

const INTERVAL = 1000; // milliseconds
const KEPT = 90; // readings
const WINDOW = 10; // readings over which percentiles are taken

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
