// The way to the server, which a button can cut: real sockets, closed without warning the client.
import { signal } from "@preact/signals";

const CUT = 4000; // a close code of our own

export class Wire {
  isCut = signal(false);
  #socket;

  /** What the client opens sockets with. */
  open = (url) => {
    if (this.isCut.value) throw new Error("the wire is cut");
    this.#socket = new WebSocket(url);
    return this.#socket;
  };

  cut() {
    this.isCut.value = true;
    this.#socket?.close(CUT, "the wire is cut");
  }

  mend() {
    this.isCut.value = false;
  }
}
