/** Keeps the listeners of each type of event. */
export declare class Emitter<Types> {
    private readonly listeners;
    /** Add a listener; the function that is returned removes it. */
    on<Type extends keyof Types>(type: Type, listener: (event: Types[Type]) => void): () => void;
    /** Call every listener; a failure of one is reported and stops nothing. */
    emit<Type extends keyof Types>(type: Type, event: Types[Type]): void;
}
