// The user's token: fetched once however many ask, kept until it is refused or nearly over.

/** Returns a token; may ask a server for it. */
export type GetToken = () => string | Promise<string>;

const LAST_PART = 0.1; // of the time that a token has left, in which it is replaced
const EARLIEST = 60_000; // milliseconds before its end
const LONGEST_TIMER = 2 ** 31 - 1; // milliseconds

export class Tokens {
  private token: string | undefined;
  private flight: Promise<string> | undefined;

  /** Take where tokens come from, and how many milliseconds that may take. */
  constructor(
    private readonly getToken: GetToken,
    private readonly patience: number,
  ) {}

  /** Return the token that is known, or a new one. */
  get(): Promise<string> {
    return this.token === undefined ? this.refresh() : Promise.resolve(this.token);
  }

  /** Fetch a new token; whoever asks meanwhile gets the same one. */
  refresh(): Promise<string> {
    this.flight ??= this.fetch().finally(() => (this.flight = undefined));
    return this.flight;
  }

  private async fetch(): Promise<string> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      const error = new Error(`getToken took longer than ${this.patience} ms.`);
      timer = setTimeout(() => reject(error), this.patience);
    });
    try {
      return (this.token = await Promise.race([this.getToken(), late]));
    } finally {
      clearTimeout(timer);
    }
  }

  /** Forget a token that was refused. */
  forget(token: string | undefined): void {
    if (this.token === token) this.token = undefined;
  }
}

/** Milliseconds until a token should be replaced; undefined where it does not say when it ends. */
export function refreshIn(token: string, now = Date.now()): number | undefined {
  try {
    const body = (token.split(".")[1] ?? "").replace(/-/g, "+").replace(/_/g, "/");
    const left = JSON.parse(atob(body)).exp * 1000 - now;
    return left > 0
      ? Math.min(left - Math.min(left * LAST_PART, EARLIEST), LONGEST_TIMER)
      : undefined;
  } catch {
    return undefined;
  }
}
