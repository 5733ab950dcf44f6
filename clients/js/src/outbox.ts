// Messages that are not known to be stored. Each has a `clientMessageId`, so that sending it again
// never doubles it. In a conversation one is on its way at a time: that keeps their order.

import { ChatError, isPassing } from "./errors.js";
import type { AnyEvent } from "./requests.js";

/** A message on its way. */
export interface Outgoing {
  type: string;
  clientMessageId: string;
  recipientId?: string | number;
  groupId?: string | number;
}

interface Entry {
  command: Outgoing;
  isSent: boolean;
  resolve(event: AnyEvent): void;
  reject(error: unknown): void;
}

const PAUSE = 1000; // milliseconds, where the server names none

export class Outbox {
  private readonly entries: Entry[] = [];
  private timer: ReturnType<typeof setTimeout> | undefined;
  private restUntil = 0; // milliseconds since 1970, as the server said; on every connection

  /**
   * Take how many messages may wait, and how to send one.
   *
   * `ask` is only called between `open` and `pause`.
   */
  constructor(
    private readonly most: number,
    private readonly ask: (command: Outgoing) => Promise<AnyEvent>,
  ) {}

  private isOpen = false;

  /** What waits, the oldest first. */
  get waiting(): Outgoing[] {
    return this.entries.map(({ command }) => command);
  }

  /** Keep a message until it is stored or refused. */
  add(command: Outgoing): Promise<AnyEvent> {
    if (this.entries.length >= this.most) {
      const text = `${this.most} messages wait already.`;
      return Promise.reject(new ChatError("OUTBOX_FULL", text));
    }
    return new Promise((resolve, reject) => {
      this.entries.push({ command, isSent: false, resolve, reject });
      this.pump();
    });
  }

  /** There is a session: send what waits. */
  open(): void {
    this.isOpen = true;
    this.rest(this.restUntil - Date.now());
    this.pump();
  }

  /** There is none: what was on its way waits again, once its promise has failed. */
  pause(): void {
    this.isOpen = false;
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  /** Reject everything. */
  clear(error: ChatError): void {
    this.pause();
    for (const entry of this.entries.splice(0)) entry.reject(error);
  }

  private pump(): void {
    if (!this.isOpen || this.timer) return;
    const busy = new Set<string>();
    for (const entry of [...this.entries]) {
      const { recipientId, groupId } = entry.command;
      const room = groupId === undefined ? `user ${recipientId}` : `group ${groupId}`;
      if (!busy.has(room) && !entry.isSent) void this.send(entry);
      busy.add(room);
    }
  }

  private async send(entry: Entry): Promise<void> {
    entry.isSent = true;
    try {
      const answer = await this.ask(entry.command);
      this.remove(entry);
      entry.resolve(answer);
    } catch (error) {
      entry.isSent = false;
      if (isPassing(error)) {
        const time = (error.retryAfter ?? 0) * 1000 || PAUSE;
        if (this.isOpen) this.restUntil = Math.max(this.restUntil, Date.now() + time);
        return this.rest(this.restUntil - Date.now());
      }
      this.remove(entry);
      entry.reject(error);
    }
    this.pump();
  }

  private rest(time: number): void {
    if (!this.isOpen || time <= 0) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.pump();
    }, time);
  }

  private remove(entry: Entry): void {
    const index = this.entries.indexOf(entry);
    if (index >= 0) this.entries.splice(index, 1);
  }
}
