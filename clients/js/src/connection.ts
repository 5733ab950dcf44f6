// One socket, and the watch over it: the server is asked for a sign of life again and again, and
// given up when it owes one, long before the network would say so.

const LOST = 1006; // RFC 6455, section 7.4.1
const MOST_PATIENCE = 3; // times the patience, while other frames come before the answer

/** What the owner of a connection wants to know. */
export interface Hooks {
  onOpen(): void;
  onText(text: string): void;
  /** Called once, and nothing is called after it. */
  onEnd(code: number, reason: string): void;
}

export class Connection {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private heardAt = Date.now();
  private askedAt = 0; // 0: no answer is owed
  private isOver = false;

  /**
   * Take a socket that connects.
   *
   * `heartbeat`: milliseconds between questions for a sign of life; `patience`: how long the
   * answer, or the handshake, may take.
   */
  constructor(
    private readonly socket: WebSocket,
    private readonly hooks: Hooks,
    private readonly heartbeat: number,
    private readonly patience: number,
  ) {
    this.timer = setTimeout(() => this.drop("no handshake in time"), patience);
    socket.onopen = () => {
      this.watch(heartbeat);
      hooks.onOpen();
    };
    socket.onmessage = ({ data }) => {
      this.heardAt = Date.now();
      hooks.onText(String(data));
    };
    socket.onclose = ({ code, reason }) => this.end(code, reason);
    socket.onerror = () => undefined; // the close event follows
  }

  send(text: string): void {
    if (this.socket.readyState === 1) this.socket.send(text);
  }

  /** Ask the server for a sign of life now. */
  probe(): void {
    if (this.askedAt || this.socket.readyState !== 1) return;
    this.askedAt = Date.now();
    this.send('{"type":"ping"}');
    this.watch(this.patience);
  }

  /** Give the connection up without waiting for the other side. */
  drop(reason: string, code = LOST): void {
    this.socket.onopen = this.socket.onmessage = this.socket.onclose = null;
    this.socket.close();
    this.end(code, reason);
  }

  /** The answer is there. */
  hearPong(): void {
    if (!this.askedAt) return;
    this.askedAt = 0;
    this.watch(this.heartbeat);
  }

  private watch(time: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.check(), Math.max(time, 1));
  }

  private check(): void {
    if (!this.askedAt) return this.probe();
    // What was on the way before the answer may take its time on a slow line, within bounds.
    const now = Date.now();
    const left = Math.min(
      Math.max(this.heardAt, this.askedAt) + this.patience - now,
      this.askedAt + MOST_PATIENCE * this.patience - now,
    );
    if (left > 0) this.watch(left);
    else this.drop("the server is silent");
  }

  private end(code: number, reason: string): void {
    clearTimeout(this.timer);
    if (this.isOver) return;
    this.isOver = true;
    this.hooks.onEnd(code, reason);
  }
}
