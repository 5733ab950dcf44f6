// Commands that wait for their answer, by request id.

import { ChatError } from "./errors.js";
import type { AuthError, Refusal } from "./protocol.js";

/** Any event of the server. */
export interface AnyEvent {
  type: string;
  requestId?: string;
}

interface Pending {
  resolve(event: AnyEvent): void;
  reject(error: ChatError): void;
  timer: ReturnType<typeof setTimeout>;
  text: string;
}

export class Requests {
  private readonly pending = new Map<string, Pending>();
  private last = 0;

  /** Take how long an answer may take, in milliseconds, and what to do when one takes longer. */
  constructor(
    private readonly patience: number,
    private readonly onSilence: () => void,
  ) {}

  /** Send a command and return its answer; an error is a rejection. */
  ask(send: (text: string) => void, command: object): Promise<AnyEvent> {
    const requestId = String(++this.last);
    const text = JSON.stringify({ ...command, requestId });
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.pending.delete(requestId);
        reject(new ChatError("TIMEOUT", `No answer within ${this.patience} ms.`));
        this.onSilence();
      }, this.patience);
      this.pending.set(requestId, { resolve, reject, timer, text });
      send(text);
    });
  }

  /** Give an event to whoever waits for it. */
  settle(event: AnyEvent): void {
    const found = this.take(event.requestId ?? "");
    if (!found) return;
    if (event.type === "error" || event.type === "auth_error") {
      found.reject(ChatError.from(event as Refusal | AuthError));
    } else {
      found.resolve(event);
    }
  }

  /** Reject everything: the connection is gone. */
  fail(error: ChatError): void {
    for (const requestId of [...this.pending.keys()]) this.take(requestId)?.reject(error);
  }

  /** Reject the longest command: the server takes none of its size. */
  failLongest(error: ChatError): void {
    let longest = "";
    let size = 0;
    for (const [requestId, { text }] of this.pending) {
      if (text.length > size) [longest, size] = [requestId, text.length];
    }
    this.take(longest)?.reject(error);
  }

  private take(requestId: string): Pending | undefined {
    const found = this.pending.get(requestId);
    if (found) {
      clearTimeout(found.timer);
      this.pending.delete(requestId);
    }
    return found;
  }
}
