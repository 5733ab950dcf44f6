// The client: one session that is kept alive, from token to catching up.

import { Backoff } from "./backoff.js";
import { judgeClose } from "./closing.js";
import { Connection } from "./connection.js";
import { Emitter } from "./emitter.js";
import { ChatError } from "./errors.js";
import { DEFAULTS, type ClientEvents, type Options, type State } from "./options.js";
import { Outbox, type Outgoing } from "./outbox.js";
import { Positions, roomOf, type SavedPositions } from "./positions.js";
import type {
  AuthError,
  Commands,
  Connected,
  PresenceChanges,
  Replies,
  ServerDraining,
  SyncResult,
} from "./protocol.js";
import { Requests, type AnyEvent } from "./requests.js";
import { Tokens, refreshIn } from "./tokens.js";

type Timer = ReturnType<typeof setTimeout>;

const WITHOUT_CONNECTION = new Set(["idle", "waiting", "closed"]);
const SENDS = new Set(["send_private_message", "send_group_message", "send_announcement"]);
const GAP_PATIENCE = 1000; // milliseconds that a missing change may be late
const BATCH = "presence_changes";
const TOKEN_RETRY = 10_000; // milliseconds between tries to replace a token that is about to end
const STABLE = 30_000; // milliseconds online after which pauses begin small again
const LOST = new ChatError("CONNECTION_LOST", "The connection ended before the answer came.");

/** Make a client; it does nothing before `connect`. */
export function createClient(options: Options): Client {
  return new Client(options);
}

/** Return a new id for a message. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A user's connection to the chat. */
export class Client {
  private readonly options: Options & typeof DEFAULTS;
  private readonly emitter = new Emitter<ClientEvents>();
  private readonly tokens: Tokens;
  private readonly known: Positions;
  private readonly requests: Requests;
  private readonly outbox: Outbox;
  private readonly backoff: Backoff;
  private connection: Connection | undefined;
  private current: State = { name: "idle" };
  private run = 0; // counts calls of `connect` and `close`, and sockets: what is older is ignored
  private onlineSince = 0;
  private floor = 0; // milliseconds that the server asked to wait
  private isSpread = false; // it asked each client for a time of its own
  private held: AnyEvent[] = []; // changes that came while it caught up
  private ownId: string | undefined;
  private sessionToken: string | undefined;
  private sessionEnd: AuthError | undefined;
  private isCatchingUp = false;
  private retryTimer: Timer | undefined;
  private refreshTimer: Timer | undefined;
  private gapTimer: Timer | undefined;

  /** @internal */
  constructor(options: Options) {
    const given = Object.entries(options).filter(([, value]) => value !== undefined);
    this.options = { ...DEFAULTS, ...(Object.fromEntries(given) as unknown as Options) };
    const { getToken, positions, maxOutbox, firstPause, longestPause, patience } = this.options;
    this.tokens = new Tokens(getToken, patience);
    this.known = new Positions(positions);
    this.requests = new Requests(patience, () => this.connection?.probe());
    this.outbox = new Outbox(maxOutbox, (command) => this.ask(command));
    this.backoff = new Backoff(firstPause, longestPause);
  }

  private get hasSession(): boolean {
    return this.current.name === "syncing" || this.current.name === "online";
  }

  /** What the client is doing; each change is a `state` event. */
  get state(): State {
    return this.current;
  }

  /** Messages that are not known to be stored, the oldest first. */
  get waiting(): Outgoing[] {
    return this.outbox.waiting;
  }

  /** What the client knows of each conversation: save it, and give it to the next client. */
  get positions(): SavedPositions {
    return this.known.save();
  }

  /** Listen to a type of event; the function that is returned ends it. */
  on<Type extends keyof ClientEvents>(
    type: Type,
    listener: (event: ClientEvents[Type]) => void,
  ): () => void {
    return this.emitter.on(type, listener);
  }

  /** Connect and stay connected; where it waits for the next try, try now. */
  connect(): void {
    if (!WITHOUT_CONNECTION.has(this.current.name)) return;
    if (this.current.name !== "waiting") this.listenToBrowser(true);
    if (this.current.name === "closed") this.backoff.reset();
    void this.open();
  }

  /** Close the connection, and reject what has no answer yet. */
  close(): void {
    this.run++;
    this.listenToBrowser(false);
    this.clearTimers();
    const closed = new ChatError("CLOSED", "The client was closed.");
    this.outbox.clear(closed);
    this.requests.fail(closed);
    const connection = this.connection;
    this.connection = undefined;
    connection?.drop("closed", 1000);
    this.held = [];
    this.onlineSince = 0;
    this.backoff.reset();
    this.change({ name: "closed", code: 1000, reason: "The client was closed." });
  }

  /**
   * Send a command and return its answer.
   *
   * Messages wait for a connection and are sent until the server has stored or refused them; they
   * get a `clientMessageId` where they have none. All other commands are sent once, now. Rejects
   * with a `ChatError`.
   */
  request<Type extends keyof Commands>(
    type: Type,
    fields: Commands[Type] = {} as Commands[Type],
  ): Promise<Replies[Type]> {
    const command = { ...fields, type };
    if (SENDS.has(type)) {
      const { clientMessageId = newId() } = fields as Partial<Outgoing>;
      const outgoing = { ...command, clientMessageId } as Outgoing;
      return this.outbox.add(outgoing) as Promise<unknown> as Promise<Replies[Type]>;
    }
    if (!this.hasSession) {
      return Promise.reject(new ChatError("NOT_CONNECTED", "There is no session."));
    }
    if (type === "typing") {
      this.transmit(JSON.stringify(command));
      return Promise.resolve() as Promise<unknown> as Promise<Replies[Type]>;
    }
    return this.ask(command) as Promise<unknown> as Promise<Replies[Type]>;
  }

  // From token to session

  private async open(): Promise<void> {
    const run = ++this.run;
    this.clearTimers();
    this.floor = 0;
    this.isSpread = false;
    this.change({ name: "connecting", attempt: this.backoff.attempt });
    try {
      await this.tokens.get();
      if (run !== this.run) return;
      this.sessionEnd = undefined;
      const socket = this.options.createSocket(this.options.url);
      const hooks = {
        onOpen: () => void this.logIn(run),
        onText: (text: string) => this.receive(text),
        onEnd: (code: number, reason: string) => this.end(run, code, reason),
      };
      const { heartbeat, patience } = this.options;
      this.connection = new Connection(socket, hooks, heartbeat, patience);
    } catch (error) {
      if (run === this.run) this.retry(0, String((error as Error)?.message ?? error), false);
    }
  }

  private async logIn(run: number): Promise<void> {
    this.change({ name: "authenticating" });
    let token = await this.tokens.get();
    for (const isLast of [false, true]) {
      try {
        const command = { type: "authenticate", token, presenceBatches: true };
        const { user } = (await this.ask(command)) as Connected;
        if (run !== this.run) return;
        this.ownId = user.id;
        this.begin(run, token);
        return;
      } catch (error) {
        if (run !== this.run || !(error instanceof ChatError)) return;
        if (error.code !== "AUTH_FAILED") {
          this.floor = (error.retryAfter ?? 0) * 1000;
          this.connection?.drop(error.message);
          return;
        }
        const old = token;
        this.tokens.forget(old);
        if (isLast) return this.stop(1008, error.message);
        try {
          token = await this.tokens.get();
        } catch (failure) {
          if (run === this.run) this.connection?.drop(String(failure));
          return;
        }
        if (run !== this.run) return;
        if (token === old) {
          this.tokens.forget(old);
          return this.stop(1008, error.message);
        }
      }
    }
  }

  private begin(run: number, token: string): void {
    this.scheduleRefresh(run, token);
    this.change({ name: "syncing" });
    this.outbox.open();
    void this.catchUp(run);
  }

  /** Replace the token of the live session before it ends. */
  private scheduleRefresh(run: number, token: string, least = 0): void {
    this.sessionToken = token;
    const time = refreshIn(token);
    if (time === undefined) return;
    this.refreshTimer = setTimeout(async () => {
      let next = token;
      let pause = 0;
      try {
        next = await this.tokens.refresh();
        if (run === this.run) await this.ask({ type: "authenticate", token: next });
      } catch {
        next = token; // the session is as it was
        pause = TOKEN_RETRY;
      }
      if (run === this.run) this.scheduleRefresh(run, next, pause);
    }, Math.max(time, least));
  }

  // Catching up

  private async catchUp(run: number): Promise<void> {
    if (this.isCatchingUp) return;
    this.isCatchingUp = true;
    this.clearGapTimer();
    try {
      const known = this.known.save();
      const { firstLimit, syncLimit } = this.options;
      const asked = { type: "sync", ...known, limit: known.state ? syncLimit : firstLimit };
      let next: string | undefined;
      let first: SyncResult | undefined;
      do {
        const result = (await this.ask({ ...asked, ...(next && { next }) })) as SyncResult;
        if (run !== this.run) return;
        first ??= result;
        next = result.next;
        this.takeOver(result);
      } while (next);
      this.known.finish(first);
    } catch (error) {
      if (run !== this.run || !(error instanceof ChatError)) return;
      // The server cannot read what was saved: begin as if nothing were known.
      const isUnread = error.code === "VALIDATION_ERROR";
      if (isUnread) this.known.clear();
      return this.catchUpIn(run, isUnread ? 0 : (error.retryAfter ?? 1) * 1000);
    } finally {
      this.isCatchingUp = false;
      this.tellHeld(run);
    }
    if (this.current.name === "syncing") {
      this.onlineSince = Date.now();
      this.change({ name: "online" });
    }
    if (this.known.hasGaps) this.catchUpIn(run, GAP_PATIENCE);
  }

  /** Tell of what came meanwhile, where the answer did not have it. */
  private tellHeld(run: number): void {
    const held = this.held.splice(0);
    if (run !== this.run) return;
    const fresh = held.filter((event) => this.isFresh(event)); // two may be of one change
    for (const event of fresh) this.tell(event);
  }

  /** Whether an event is told after catching up: a new change, or users of whom one may be oneself. */
  private isFresh(event: AnyEvent): boolean {
    return event.type === BATCH || this.known.isAhead(event);
  }

  private catchUpIn(run: number, time: number): void {
    this.gapTimer ??= setTimeout(() => {
      this.gapTimer = undefined;
      if (this.known.hasGaps || this.current.name !== "online") void this.catchUp(run);
    }, time);
  }

  private takeOver(result: SyncResult): void {
    for (const news of result.conversations) {
      const { conversationId, complete } = news;
      const wasKnown = this.known.knows(conversationId);
      this.known.merge(news);
      this.emitter.emit("sync", news);
      if (wasKnown && !complete) this.emitter.emit("resync", { conversationId, news });
    }
    for (const conversationId of result.left) {
      this.known.drop(conversationId);
      this.held = this.held.filter((event) => roomOf(event) !== conversationId);
      this.emitter.emit("left", { conversationId });
    }
  }

  // What comes

  private receive(text: string): void {
    this.emitter.emit("frame", { direction: "in", text });
    const event = JSON.parse(text) as AnyEvent;
    if (event.type === "server_draining") {
      this.floor = (event as unknown as ServerDraining).retryAfter * 1000;
      this.isSpread = true;
    } else if (event.type === "auth_error" && event.requestId === undefined) {
      this.sessionEnd = event as unknown as AuthError;
    } else if (event.type === "error" && !this.hasSession) {
      this.floor = ((event as { retryAfter?: number }).retryAfter ?? 0) * 1000;
    }
    if (event.type === "pong") this.connection?.hearPong();
    // Some come before the answer to the log-in.
    const isBehind = this.isCatchingUp || this.current.name === "authenticating";
    if (isBehind && this.isFresh(event)) this.held.push(event);
    else this.tell(event);
    this.requests.settle(event);
  }

  private tell(event: AnyEvent): void {
    if (event.type === BATCH) return this.tellPresence(event as PresenceChanges);
    if (this.known.note(event)) this.catchUpIn(this.run, GAP_PATIENCE);
    this.emitter.emit(event.type as keyof ClientEvents, event as never);
  }

  /** Tell of each user by himself; everybody gets the same batch, so one may be among them. */
  private tellPresence({ online, offline, timestamp }: PresenceChanges): void {
    for (const [type, users] of [
      ["user_online", online],
      ["user_offline", offline],
    ] as const) {
      for (const user of users) {
        if (user.id !== this.ownId) this.emitter.emit(type, { type, user, timestamp } as never);
      }
    }
  }

  // What goes

  private ask(command: object): Promise<AnyEvent> {
    return this.requests.ask((text) => this.transmit(text), command);
  }

  private transmit(text: string): void {
    this.emitter.emit("frame", { direction: "out", text });
    this.connection?.send(text);
  }

  // The end of a connection

  private end(run: number, code: number, reason: string): void {
    if (run !== this.run) return;
    if (code === 1009) {
      const text = "The message is larger than the server takes.";
      this.requests.failLongest(new ChatError("VALIDATION_ERROR", text));
    }
    const { final, floor, atOnce } = judgeClose(code, reason);
    if (this.sessionEnd) this.tokens.forget(this.sessionToken);
    this.floor = Math.max(this.floor, floor);
    const text = this.sessionEnd?.details || reason;
    if (final) this.stop(code, text);
    else this.retry(code, text, atOnce);
  }

  private retry(code: number, reason: string, atOnce: boolean): void {
    if (this.onlineSince && Date.now() - this.onlineSince >= STABLE) this.backoff.reset();
    this.leave();
    const attempt = this.backoff.attempt;
    const pause = this.floor + (this.isSpread ? 0 : this.backoff.next(atOnce));
    this.retryTimer = setTimeout(() => void this.open(), pause);
    this.change({ name: "waiting", attempt, retryAt: Date.now() + pause, code, reason });
  }

  private stop(code: number, reason: string): void {
    this.leave();
    this.listenToBrowser(false);
    this.change({ name: "closed", code, reason });
  }

  private leave(): void {
    this.run++;
    this.clearTimers();
    this.onlineSince = 0;
    this.held = []; // it comes by the next catching up
    this.outbox.pause();
    const connection = this.connection;
    this.connection = undefined;
    connection?.drop("given up");
    this.requests.fail(LOST);
  }

  private clearTimers(): void {
    clearTimeout(this.retryTimer);
    clearTimeout(this.refreshTimer);
    this.clearGapTimer();
  }

  private clearGapTimer(): void {
    clearTimeout(this.gapTimer);
    this.gapTimer = undefined;
  }

  private change(state: State): void {
    this.current = state;
    this.emitter.emit("state", state);
  }

  // The browser knows when the network comes back, and when somebody looks again.

  private listenToBrowser(on: boolean): void {
    const change = on ? "addEventListener" : "removeEventListener";
    for (const [target, type] of [
      [globalThis, "online"],
      [globalThis, "offline"],
      [globalThis.document, "visibilitychange"],
    ] as const) {
      target?.[change]?.(type, this.wake);
    }
  }

  private readonly wake = (event: Event): void => {
    if (event.type === "visibilitychange" && document.hidden) return;
    if (this.current.name !== "waiting") this.connection?.probe();
    else if (event.type !== "offline" && !this.floor) void this.open();
  };
}
