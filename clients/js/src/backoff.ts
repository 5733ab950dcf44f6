// Pauses between tries: full jitter, so that clients do not come back all at once.

/** Grows with every try until it is reset. */
export class Backoff {
  private tries = 0;

  /** Take the first and the longest pause, in milliseconds. */
  constructor(
    private readonly first: number,
    private readonly longest: number,
  ) {}

  /** Number of the try that comes next, from 1. */
  get attempt(): number {
    return this.tries + 1;
  }

  /** Return the next pause: anything up to the bound, which doubles each time. */
  next(atOnce = false): number {
    const bound = Math.min(this.longest, this.first * 2 ** this.tries++);
    return atOnce && this.tries === 1 ? 0 : Math.random() * bound;
  }

  reset(): void {
    this.tries = 0;
  }
}
