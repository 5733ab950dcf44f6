// Who may log in here: the demo users, for whoever has the key of the link, or whoever has a token.
import { openPerson } from "./reading.js";
import { Session } from "./session.js";

const URL_OF_SERVER = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}`;

const WIDE = "(min-width: 60rem)"; // where more than one pane is shown

async function fetchUsers(key) {
  const answer = await fetch("/demo/tokens", { method: "POST", body: JSON.stringify({ key }) });
  const body = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(body.details), { status: answer.status });
  return body.users;
}

function openFirst(session, users) {
  if (session.selected.value || !matchMedia(WIDE).matches) return;
  const [newest] = session.list.value;
  if (newest) session.selected.value = newest.id;
  else openPerson(session, users.find(({ userId }) => userId !== session.me.value.userId).userId);
}

/** Return `{users, problem, open, enter, signIn}`; `users` is empty where there are no demo users. */
export async function makeDirectory() {
  const key = location.hash.slice(1);
  let users = [];
  let problem = "";
  try {
    if (key) users = await fetchUsers(key);
  } catch (error) {
    problem = error.status === 404 ? "" : error.message;
  }

  /** Log a demo user in; what he sees first is his newest conversation. */
  const enter = (user) => {
    const session = new Session({
      url: URL_OF_SERVER,
      me: user,
      acquaintances: users,
      getToken: async () => {
        const found = await fetchUsers(key);
        return found.find(({ userId }) => userId === user.userId).token;
      },
      onFirstOnline: () => openFirst(session, users),
    });
    return session;
  };

  return {
    users,
    problem,
    enter,
    /** Log in the named demo users, one session each. */
    open: (names) => users.filter(({ username }) => names.includes(username)).map(enter),
    /** Log in with a token that somebody brought; it is kept in memory only. */
    signIn: (token) => new Session({ url: URL_OF_SERVER, getToken: () => token }),
  };
}
