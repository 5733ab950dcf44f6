// What a promise of the client is rejected with.

import type { AuthError, Refusal } from "./protocol.js";

/** A code of the protocol, or one of the client's own. */
export type ErrorCode =
  | Refusal["code"]
  | AuthError["code"]
  | "CONNECTION_LOST" // it ended before the answer came: not known to be done
  | "TIMEOUT" // no answer in time: not known to be done
  | "NOT_CONNECTED" // nothing was sent
  | "OUTBOX_FULL" // nothing was sent, and nothing will be
  | "CLOSED"; // the client was closed

/** A command that failed. */
export class ChatError extends Error {
  override name = "ChatError";

  constructor(
    readonly code: ErrorCode,
    message: string,
    /** The field that is to blame, where one is. */
    readonly field?: string,
    /** Seconds until another try makes sense. */
    readonly retryAfter?: number,
    /** For the report, where the server has a bug. */
    readonly errorId?: string,
  ) {
    super(message);
  }

  /** @internal */
  static from(event: Refusal | AuthError): ChatError {
    const { field, errorId } = event as Refusal;
    const text = event.details || event.message;
    return new ChatError(event.code, text, field, event.retryAfter, errorId);
  }
}

const PASSING = new Set<ErrorCode>([
  "AUTH_REQUIRED",
  "CONNECTION_LOST",
  "NOT_CONNECTED",
  "RATE_LIMIT_EXCEEDED",
  "SERVICE_UNAVAILABLE",
  "TIMEOUT",
]);

/** Tell whether the same command may succeed later. */
export function isPassing(error: unknown): error is ChatError {
  return error instanceof ChatError && PASSING.has(error.code);
}
