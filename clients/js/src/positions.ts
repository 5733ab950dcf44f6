// What the client knows of each conversation. `rev` counts the changes without gaps, so that a
// missing one is seen; two numbers per conversation are all that catching up needs.

import type { ConversationNews, Position, SyncResult } from "./protocol.js";

/** What to keep when the next client is to go on where this one stopped. */
export interface SavedPositions {
  conversations: Record<string, Position>;
  state?: string;
}

interface Known extends Position {
  stuckAt?: number; // the `rev` after which something was missing also after catching up
  ahead: Map<number, number>; // changes behind a gap: rev → seq, 0 for one that is no message
}

const MOST_NAMED = 10_000; // in one `sync`

/** The parts of an event that say which change it is. */
interface Change {
  conversationId?: string;
  groupId?: string;
  rev?: number;
  message?: { conversationId?: string; seq?: number; rev?: number };
}

export class Positions {
  private readonly known = new Map<string, Known>();
  private state: string | undefined;

  constructor(saved?: SavedPositions) {
    this.state = saved?.state;
    for (const [id, { seq, rev }] of Object.entries(saved?.conversations ?? {})) {
      this.known.set(id, { seq, rev, ahead: new Map() });
    }
  }

  /** Whether a change is missing. */
  get hasGaps(): boolean {
    for (const { ahead } of this.known.values()) if (ahead.size) return true;
    return false;
  }

  /** Whether the client has had something of a conversation before. */
  knows(conversationId: string): boolean {
    return Boolean(this.known.get(conversationId)?.rev);
  }

  /** Whether an event is a change that is not known yet. */
  isAhead(event: object): boolean {
    const { id, rev } = changeOf(event);
    const known = id === undefined ? undefined : this.known.get(id);
    return rev !== undefined && rev > (known?.rev ?? 0) && !known?.ahead.has(rev);
  }

  /** Take note of an event; return whether it is behind a gap. */
  note(event: object): boolean {
    const { id, rev, seq } = changeOf(event);
    if (id === undefined || rev === undefined) return false;
    const known = this.find(id);
    if (rev > known.rev) known.ahead.set(rev, seq);
    return absorb(known);
  }

  /** Take over what the server said of a conversation. */
  merge(news: ConversationNews): void {
    const known = this.find(news.conversationId);
    known.seq = Math.max(known.seq, news.seq);
    known.rev = Math.max(known.rev, news.rev);
    absorb(known);
  }

  /** Forget a conversation. */
  drop(conversationId: string): void {
    this.known.delete(conversationId);
  }

  /** Forget everything. */
  clear(): void {
    this.known.clear();
    this.state = undefined;
  }

  /**
   * All parts of an answer are there.
   *
   * A gap may be left, from what happened after the answer was made. One that is left twice is no
   * gap: the user may not see that change. A conversation that is not in the answer is unknown.
   */
  finish(result: SyncResult): void {
    this.state = result.state;
    for (const [id, known] of this.known) {
      if (known.stuckAt === known.rev) {
        known.rev = Math.max(known.rev, ...known.ahead.keys());
        known.seq = Math.max(known.seq, ...known.ahead.values());
        known.ahead.clear();
      }
      if (!known.rev) this.known.delete(id);
      else if (known.ahead.size) known.stuckAt = known.rev;
    }
  }

  /** What to ask the server with, and what to keep. */
  save(): SavedPositions {
    const named = [...this.known].filter(([, { rev }]) => rev).slice(-MOST_NAMED);
    const conversations = Object.fromEntries(named.map(([id, { seq, rev }]) => [id, { seq, rev }]));
    return { conversations, ...(this.state && { state: this.state }) };
  }

  /** Return a conversation, which from now on is the one that changed last. */
  private find(id: string): Known {
    const known = this.known.get(id) ?? { seq: 0, rev: 0, ahead: new Map() };
    this.known.delete(id);
    this.known.set(id, known);
    return known;
  }
}

/** The conversation that an event is about. */
export function roomOf(event: object): string | undefined {
  return changeOf(event).id;
}

/** Which change of which conversation an event is; `seq` is 0 where it is no new message. */
function changeOf(event: object): { id?: string; rev?: number; seq: number } {
  const { conversationId, groupId, rev, message }: Change = event;
  return {
    id: conversationId ?? groupId ?? message?.conversationId,
    rev: rev ?? message?.rev,
    seq: rev === undefined ? (message?.seq ?? 0) : 0,
  };
}

/** Move on over what follows without a gap; return whether one is left. */
function absorb(known: Known): boolean {
  for (const rev of known.ahead.keys()) if (rev <= known.rev) known.ahead.delete(rev);
  for (let seq; (seq = known.ahead.get(known.rev + 1)) !== undefined;) {
    known.ahead.delete(++known.rev);
    known.seq = Math.max(known.seq, seq);
  }
  return known.ahead.size > 0;
}
