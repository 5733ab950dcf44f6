import { type ClientEvents, type Options, type State } from "./options.js";
import { type Outgoing } from "./outbox.js";
import { type SavedPositions } from "./positions.js";
import type { Commands, Replies } from "./protocol.js";
/** Make a client; it does nothing before `connect`. */
export declare function createClient(options: Options): Client;
/** Return a new id for a message. */
export declare function newId(): string;
/** A user's connection to the chat. */
export declare class Client {
    private readonly options;
    private readonly emitter;
    private readonly tokens;
    private readonly known;
    private readonly requests;
    private readonly outbox;
    private readonly backoff;
    private connection;
    private current;
    private run;
    private onlineSince;
    private floor;
    private isSpread;
    private held;
    private ownId;
    private sessionToken;
    private sessionEnd;
    private isCatchingUp;
    private retryTimer;
    private refreshTimer;
    private gapTimer;
    private get hasSession();
    /** What the client is doing; each change is a `state` event. */
    get state(): State;
    /** Messages that are not known to be stored, the oldest first. */
    get waiting(): Outgoing[];
    /** What the client knows of each conversation: save it, and give it to the next client. */
    get positions(): SavedPositions;
    /** Listen to a type of event; the function that is returned ends it. */
    on<Type extends keyof ClientEvents>(type: Type, listener: (event: ClientEvents[Type]) => void): () => void;
    /** Connect and stay connected; where it waits for the next try, try now. */
    connect(): void;
    /** Close the connection, and reject what has no answer yet. */
    close(): void;
    /**
     * Send a command and return its answer.
     *
     * Messages wait for a connection and are sent until the server has stored or refused them; they
     * get a `clientMessageId` where they have none. All other commands are sent once, now. Rejects
     * with a `ChatError`.
     */
    request<Type extends keyof Commands>(type: Type, fields?: Commands[Type]): Promise<Replies[Type]>;
    private open;
    private logIn;
    private begin;
    /** Replace the token of the live session before it ends. */
    private scheduleRefresh;
    private catchUp;
    /** Tell of what came meanwhile, where the answer did not have it. */
    private tellHeld;
    /** Whether an event is told after catching up: a new change, or users of whom one may be oneself. */
    private isFresh;
    private catchUpIn;
    private takeOver;
    private receive;
    private tell;
    /** Tell of each user by himself; everybody gets the same batch, so one may be among them. */
    private tellPresence;
    private ask;
    private transmit;
    private end;
    private retry;
    private stop;
    private leave;
    private clearTimers;
    private clearGapTimer;
    private change;
    private listenToBrowser;
    private readonly wake;
}
