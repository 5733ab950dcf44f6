/** Returns a token; may ask a server for it. */
export type GetToken = () => string | Promise<string>;
export declare class Tokens {
    private readonly getToken;
    private readonly patience;
    private token;
    private flight;
    /** Take where tokens come from, and how many milliseconds that may take. */
    constructor(getToken: GetToken, patience: number);
    /** Return the token that is known, or a new one. */
    get(): Promise<string>;
    /** Fetch a new token; whoever asks meanwhile gets the same one. */
    refresh(): Promise<string>;
    private fetch;
    /** Forget a token that was refused. */
    forget(token: string | undefined): void;
}
/** Milliseconds until a token should be replaced; undefined where it does not say when it ends. */
export declare function refreshIn(token: string, now?: number): number | undefined;
