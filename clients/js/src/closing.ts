// What the end of a connection means. Source: docs/protocol.md, "Close codes".

/** What to do next. */
export interface Verdict {
  /** The same again would end the same way. */
  final: boolean;
  /** Milliseconds to wait at least. */
  floor: number;
  /** The first try may be made without a pause. */
  atOnce: boolean;
}

const FINAL_CODES = new Set([1002, 1003, 1007]);
const FINAL_REASONS = new Set(["Invalid IP address", "Too many fragments"]);
const CROWDED = new Set(["Connection limit exceeded", "Rate limit exceeded"]);
const LATE = "Authentication timeout";
const CROWDED_PAUSE = 30_000;

/** Judge a close code with its reason. */
export function judgeClose(code: number, reason: string): Verdict {
  const isPolicy = code === 1008;
  return {
    final: FINAL_CODES.has(code) || (isPolicy && FINAL_REASONS.has(reason)),
    floor: isPolicy && CROWDED.has(reason) ? CROWDED_PAUSE : 0,
    atOnce: code === 1012 || (isPolicy && reason === LATE),
  };
}
