import type { ConversationNews, Position, SyncResult } from "./protocol.js";
/** What to keep when the next client is to go on where this one stopped. */
export interface SavedPositions {
    conversations: Record<string, Position>;
    state?: string;
}
export declare class Positions {
    private readonly known;
    private state;
    constructor(saved?: SavedPositions);
    /** Whether a change is missing. */
    get hasGaps(): boolean;
    /** Whether the client has had something of a conversation before. */
    knows(conversationId: string): boolean;
    /** Whether an event is a change that is not known yet. */
    isAhead(event: object): boolean;
    /** Take note of an event; return whether it is behind a gap. */
    note(event: object): boolean;
    /** Take over what the server said of a conversation. */
    merge(news: ConversationNews): void;
    /** Forget a conversation. */
    drop(conversationId: string): void;
    /** Forget everything. */
    clear(): void;
    /**
     * All parts of an answer are there.
     *
     * A gap may be left, from what happened after the answer was made. One that is left twice is no
     * gap: the user may not see that change. A conversation that is not in the answer is unknown.
     */
    finish(result: SyncResult): void;
    /** What to ask the server with, and what to keep. */
    save(): SavedPositions;
    /** Return a conversation, which from now on is the one that changed last. */
    private find;
}
/** The conversation that an event is about. */
export declare function roomOf(event: object): string | undefined;
