// One socket, and the watch over it: a peer that says nothing is asked, and given up when it stays
// silent, long before the network would say so.

const LOST = 1006; // RFC 6455, section 7.4.1

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
  private askedAt = 0; // 0: nothing was asked since something came
  private isOver = false;

  /**
   * Take a socket that connects.
   *
   * `silence`: milliseconds without a frame after which the server is asked for one;
   * `patience`: how long the answer, or the handshake, may take.
   */
  constructor(
    private readonly socket: WebSocket,
    private readonly hooks: Hooks,
    private readonly silence: number,
    private readonly patience: number,
  ) {
    this.timer = setTimeout(() => this.drop("no handshake in time"), patience);
    socket.onopen = () => {
      this.hear();
      this.watch(silence);
      hooks.onOpen();
    };
    socket.onmessage = ({ data }) => {
      this.hear();
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

  private hear(): void {
    this.heardAt = Date.now();
    this.askedAt = 0;
  }

  private watch(time: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.check(), Math.max(time, 1));
  }

  private check(): void {
    const silent = Date.now() - this.heardAt;
    if (this.askedAt) this.drop("the server is silent");
    else if (silent >= this.silence) this.probe();
    else this.watch(this.silence - silent);
  }

  private end(code: number, reason: string): void {
    clearTimeout(this.timer);
    if (this.isOver) return;
    this.isOver = true;
    this.hooks.onEnd(code, reason);
  }
}
