// What the cases need, in Node and in a browser alike: clients at the end of a wire that can be
// cut, and waits that are bounded. The control server (tests/functional/browser/control.py) makes
// tokens and wires.
import { createClient } from "../dist/index.js";

const PATIENCE = 10_000; // milliseconds; a bound on every wait

const NOTED = ["state", "sync", "resync", "left", "new_private_message", "new_group_message"];
NOTED.push("message_edited", "message_deleted");

/** Every case: `{name, run, isAlone}`. */
export const cases = [];

/** Add a case; one that is alone disturbs all others, and is run after them. */
export function test(name, run, { isAlone = false } = {}) {
  cases.push({ name, run, isAlone });
}

export function ok(value, text = "expected something else") {
  if (!value) throw new Error(text);
}

export function equal(found, expected) {
  const [a, b] = [found, expected].map((value) => JSON.stringify(value));
  ok(a === b, `found ${a}, expected ${b}`);
}

/** Return the error that a promise is rejected with. */
export async function failure(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("expected a rejection");
}

/** Wait until a function returns something true, and return that. */
export async function until(condition) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const found = await condition();
    if (found) return found;
    ok(Date.now() < end, `in vain: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** The server, its wires, and the clients of one case. */
export class Scene {
  constructor(control, firstUser) {
    this.control = control;
    this.nextUser = firstUser;
    this.clients = [];
  }

  /** Return the id of a user whom no other case has. */
  user() {
    return String(this.nextUser++);
  }

  async post(path) {
    const answer = await fetch(this.control + path, { method: "POST" });
    ok(answer.ok, `${path}: ${answer.status}`);
    return answer.text();
  }

  token(user, query = "") {
    return this.post(`/tokens/${user}${query}`);
  }

  /** Make a way to the server; each has a `url`, and what can be done to it. */
  async wire() {
    const { id, url } = JSON.parse(await this.post("/wires"));
    const to = (state) => () => this.post(`/wires/${id}/${state}`);
    return { url, cut: to("cut"), mend: to("mend"), freeze: to("freeze"), mute: to("mute") };
  }

  /** Return a client that connects, with everything it told in `seen`. */
  async client(user, options = {}) {
    const wire = options.wire ?? (await this.wire());
    const client = createClient({
      url: wire.url,
      getToken: () => this.token(user),
      firstPause: 20,
      longestPause: 100,
      ...options,
    });
    const seen = [];
    const states = [];
    client.on("state", (state) => states.push(state));
    for (const type of NOTED) client.on(type, (event) => seen.push([type, event]));
    this.clients.push(client);
    client.connect();
    const of = (type) => seen.filter(([name]) => name === type).map(([, event]) => event);
    return { client, wire, user, seen, of, states, joinedAt: 0 };
  }

  /** The same, once it is online. */
  async join(user = this.user(), options = {}) {
    const one = await this.client(user, options);
    await online(one);
    one.joinedAt = one.states.length;
    return one;
  }

  end() {
    for (const client of this.clients) client.close();
  }
}

export function online({ client }) {
  return until(() => client.state.name === "online");
}

/** Wait until a client has lost its connection; it may have found it again since. */
export function lost({ states, joinedAt }) {
  return until(() => states.slice(joinedAt).find(({ name }) => name === "waiting"));
}

/** The texts that a client heard from others, live or by catching up, in the order of their `seq`. */
export function heard({ of, user }) {
  const live = [...of("new_private_message"), ...of("new_group_message")];
  const all = [...live.map(({ message }) => message), ...of("sync").flatMap((n) => n.messages)];
  return all
    .filter(({ senderId }) => senderId !== user)
    .sort((a, b) => a.seq - b.seq)
    .map(({ content }) => content);
}

/** Run a case with users of its own. */
export async function runCase({ run }, control, firstUser) {
  const scene = new Scene(control, firstUser);
  try {
    await run(scene);
  } finally {
    scene.end();
  }
}
