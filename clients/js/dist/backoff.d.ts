/** Grows with every try until it is reset. */
export declare class Backoff {
    private readonly first;
    private readonly longest;
    private tries;
    /** Take the first and the longest pause, in milliseconds. */
    constructor(first: number, longest: number);
    /** Number of the try that comes next, from 1. */
    get attempt(): number;
    /** Return the next pause: anything up to the bound, which doubles each time. */
    next(atOnce?: boolean): number;
    reset(): void;
}
