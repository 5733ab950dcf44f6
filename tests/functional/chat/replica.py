"""What a client knows that only ever asks what it missed."""


class Replica:
    """The conversations of one user, folded from answers to ``sync``.

    Attributes:
        conversations: By id: ``messages`` by their ids, and the latest of everything else.
    """

    def __init__(self) -> None:
        self.conversations: dict[str, dict] = {}
        self.state: str | None = None

    async def catch_up(self, client, limit=200):
        """Ask, part by part, and fold the answers; return them."""
        request = {"type": "sync", "limit": limit, "conversations": self.positions()}
        if self.state is not None:
            request["state"] = self.state
        answers = [await client.request(**request)]
        while "next" in answers[-1]:
            answers.append(await client.request(**request, next=answers[-1]["next"]))
        for answer in answers:
            assert answer["type"] == "sync_result", answer
            for news in answer["conversations"]:
                await self.fold(client, news)
            for group_id in answer["left"]:
                self.conversations.pop(group_id, None)
        self.state = answers[0]["state"]
        return answers

    def positions(self):
        return {
            name: {"seq": kept["seq"], "rev": kept["rev"]}
            for name, kept in self.conversations.items()
        }

    async def fold(self, client, news):
        name = news["conversationId"]
        kept = self.conversations.setdefault(name, {"messages": {}, "group": None, "members": None})
        messages = kept["messages"]
        fresh = news["messages"]
        if not news["complete"]:
            messages.clear()
            page = await client.request(type="get_private_messages", conversationId=name, limit=200)
            assert page["messages"][-len(fresh) :] == fresh or not fresh
            fresh = page["messages"]
        for message in (*fresh, *news["changed"]):
            if message.get("isDeleted"):
                messages.pop(message["id"], None)
            else:
                messages[message["id"]] = message
        for message_id in news["hiddenIds"]:
            messages.pop(message_id, None)
        for message_id in [key for key, each in messages.items() if each["seq"] <= hidden_to(news)]:
            del messages[message_id]
        for field in ("seq", "rev", "readUpTo", "unreadCount", "hidden"):
            kept[field] = news[field]
        for field in ("group", "members"):
            if field in news:
                kept[field] = news[field]

    def shown(self, name):
        """The messages of a conversation, the oldest first, as a page of the history shows them."""
        messages = self.conversations[name]["messages"].values()
        return sorted(map(timeless, messages), key=lambda message: message["seq"])


def hidden_to(news):
    return news.get("hiddenUpTo", 0)


def timeless(message):
    """A message without what a client works out from the read positions."""
    return {field: value for field, value in message.items() if field != "isRead"}
