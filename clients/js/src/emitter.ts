// Typed listeners.

type Listener = (event: never) => void;

/** Keeps the listeners of each type of event. */
export class Emitter<Types> {
  private readonly listeners = new Map<keyof Types, Set<Listener>>();

  /** Add a listener; the function that is returned removes it. */
  on<Type extends keyof Types>(type: Type, listener: (event: Types[Type]) => void): () => void {
    let found = this.listeners.get(type);
    if (!found) this.listeners.set(type, (found = new Set()));
    found.add(listener);
    return () => void found.delete(listener);
  }

  /** Call every listener; a failure of one is reported and stops nothing. */
  emit<Type extends keyof Types>(type: Type, event: Types[Type]): void {
    for (const listener of [...(this.listeners.get(type) ?? [])]) {
      try {
        (listener as (event: Types[Type]) => void)(event);
      } catch (error) {
        setTimeout(() => {
          throw error;
        });
      }
    }
  }
}
