import { ChatError } from "./errors.js";
/** Any event of the server. */
export interface AnyEvent {
    type: string;
    requestId?: string;
}
export declare class Requests {
    private readonly patience;
    private readonly onSilence;
    private readonly pending;
    private last;
    /** Take how long an answer may take, in milliseconds, and what to do when one takes longer. */
    constructor(patience: number, onSilence: () => void);
    /** Send a command and return its answer; an error is a rejection. */
    ask(send: (text: string) => void, command: object): Promise<AnyEvent>;
    /** Give an event to whoever waits for it. */
    settle(event: AnyEvent): void;
    /** Reject everything: the connection is gone. */
    fail(error: ChatError): void;
    /** Reject the longest command: the server takes none of its size. */
    failLongest(error: ChatError): void;
    private take;
}
