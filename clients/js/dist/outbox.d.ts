import { ChatError } from "./errors.js";
import type { AnyEvent } from "./requests.js";
/** A message on its way. */
export interface Outgoing {
    type: string;
    clientMessageId: string;
    recipientId?: string | number;
    groupId?: string | number;
}
export declare class Outbox {
    private readonly most;
    private readonly ask;
    private readonly entries;
    private timer;
    private restUntil;
    /**
     * Take how many messages may wait, and how to send one.
     *
     * `ask` is only called between `open` and `pause`.
     */
    constructor(most: number, ask: (command: Outgoing) => Promise<AnyEvent>);
    private isOpen;
    /** What waits, the oldest first. */
    get waiting(): Outgoing[];
    /** Keep a message until it is stored or refused. */
    add(command: Outgoing): Promise<AnyEvent>;
    /** There is a session: send what waits. */
    open(): void;
    /** There is none: what was on its way waits again, once its promise has failed. */
    pause(): void;
    /** Reject everything. */
    clear(error: ChatError): void;
    private pump;
    private send;
    private rest;
    private remove;
}
