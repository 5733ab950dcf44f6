// What became of the messages while the wire was cut: counted, not claimed.

/** Begin to count; until where each conversation is known now is where gaps are looked for. */
export function beginOutage(conversations) {
  const ends = [...conversations].map(([id, { messages }]) => [id, messages.at(-1)?.seq ?? 0]);
  return { since: Date.now(), ends: new Map(ends), sent: 0, came: 0, lost: 0 };
}

/** Count what was caught up with in one conversation; `after` is its list of messages now. */
export function countNews(outage, news, after, me) {
  const before = outage.ends.get(news.conversationId) ?? 0;
  const here = new Set([...after, ...news.changed].map(({ seq }) => seq));
  const came = news.messages.filter((one) => one.senderId !== me && one.seq > before).length;
  let lost = 0;
  if (news.complete && !news.hiddenIds.length && !news.hiddenUpTo) {
    for (let seq = before + 1; seq <= news.seq; seq++) if (!here.has(seq)) lost++;
  }
  return { ...outage, came: outage.came + came, lost: outage.lost + lost };
}

/** How many messages are in these lists more than once. */
export function countDoubles(conversations) {
  let doubles = 0;
  for (const { messages } of conversations.values()) {
    const named = messages.filter(({ clientMessageId }) => clientMessageId);
    const ids = named.map(({ senderId, clientMessageId }) => `${senderId} ${clientMessageId}`);
    doubles += ids.length - new Set(ids).size;
  }
  return doubles;
}

/** Say it in a sentence. */
export function report({ since, sent, came, lost }, doubles) {
  const seconds = Math.max(1, Math.round((Date.now() - since) / 1000));
  return (
    `Back after ${seconds} s. Sent from the outbox: ${sent}. Caught up with: ${came}. ` +
    `Lost: ${lost}. Doubled: ${doubles}.`
  );
}
