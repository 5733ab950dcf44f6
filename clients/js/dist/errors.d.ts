import type { AuthError, Refusal } from "./protocol.js";
/** A code of the protocol, or one of the client's own. */
export type ErrorCode = Refusal["code"] | AuthError["code"] | "CONNECTION_LOST" | "TIMEOUT" | "NOT_CONNECTED" | "OUTBOX_FULL" | "CLOSED";
/** A command that failed. */
export declare class ChatError extends Error {
    readonly code: ErrorCode;
    /** The field that is to blame, where one is. */
    readonly field?: string | undefined;
    /** Seconds until another try makes sense. */
    readonly retryAfter?: number | undefined;
    /** For the report, where the server has a bug. */
    readonly errorId?: string | undefined;
    name: string;
    constructor(code: ErrorCode, message: string, 
    /** The field that is to blame, where one is. */
    field?: string | undefined, 
    /** Seconds until another try makes sense. */
    retryAfter?: number | undefined, 
    /** For the report, where the server has a bug. */
    errorId?: string | undefined);
}
/** Tell whether the same command may succeed later. */
export declare function isPassing(error: unknown): error is ChatError;
