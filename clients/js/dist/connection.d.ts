/** What the owner of a connection wants to know. */
export interface Hooks {
    onOpen(): void;
    onText(text: string): void;
    /** Called once, and nothing is called after it. */
    onEnd(code: number, reason: string): void;
}
export declare class Connection {
    private readonly socket;
    private readonly hooks;
    private readonly heartbeat;
    private readonly patience;
    private timer;
    private heardAt;
    private askedAt;
    private isOver;
    /**
     * Take a socket that connects.
     *
     * `heartbeat`: milliseconds between questions for a sign of life; `patience`: how long the
     * answer, or the handshake, may take.
     */
    constructor(socket: WebSocket, hooks: Hooks, heartbeat: number, patience: number);
    send(text: string): void;
    /** Ask the server for a sign of life now. */
    probe(): void;
    /** Give the connection up without waiting for the other side. */
    drop(reason: string, code?: number): void;
    /** The answer is there. */
    hearPong(): void;
    private watch;
    private check;
    private end;
}
