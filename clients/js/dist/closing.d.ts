/** What to do next. */
export interface Verdict {
    /** The same again would end the same way. */
    final: boolean;
    /** Milliseconds to wait at least. */
    floor: number;
    /** The first try may be made without a pause. */
    atOnce: boolean;
}
/** Judge a close code with its reason. */
export declare function judgeClose(code: number, reason: string): Verdict;
