// What the text of Prometheus says of the charts. All pure.

const LATENCY = "fastchat_send_to_ack_seconds_bucket";
const LINE = /^([a-z_]+)(?:\{([^}]*)\})? (\S+)$/;

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
