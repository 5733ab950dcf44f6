// Times as people read them.

const CLOCK = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  hourCycle: "h23",
});
const DAY = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });

export function clock(time) {
  return time ? CLOCK.format(new Date(time)) : "";
}

export function day(time) {
  return DAY.format(new Date(time));
}

export function precise(date) {
  return date.toISOString().slice(11, 23);
}
