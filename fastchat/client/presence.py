"""Who came and went: the server tells of many users at once, the client of each by itself."""

from collections.abc import Callable

from fastchat.protocol.system_types import PresenceChanges, UserOffline, UserOnline


def one_by_one(
    emit: Callable[[object], None], own_id: Callable[[], str]
) -> Callable[[object], None]:
    """Return what emits ``UserOnline`` and ``UserOffline`` for a batch, and all else as it is.

    Everybody gets the same batch, so one may be among its users; of oneself nothing is told.
    """

    def tell(event: object) -> None:
        if not isinstance(event, PresenceChanges):
            emit(event)
            return
        own = own_id()
        for kind, users in ((UserOnline, event.online), (UserOffline, event.offline)):
            for user in users:
                if user.id != own:
                    emit(kind(user=user, timestamp=event.timestamp))

    return tell
