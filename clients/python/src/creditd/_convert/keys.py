"""Messages of AdminService about keys, and about what administrators did."""

from collections.abc import Iterable
from datetime import datetime

from creditd._convert.messages import optional_time_from_field, time_from_field
from creditd._values import INT32, flag, optional_text, optional_time_to_pb, text, texts, whole
from creditd.keys import AdminEvent, AdminEventPage, CreateKeyResult, Key, KeyPage
from creditd.v1 import admin_pb2


def create_key_to_pb(
    scopes: Iterable[str],
    *,
    title: str,
    accounts: Iterable[str],
    expire_time: datetime | None,
    calls_per_second_max: int,
) -> admin_pb2.CreateKeyRequest:
    """The request of CreateKey."""
    return admin_pb2.CreateKeyRequest(
        key=admin_pb2.Key(
            title=text(title, "title"),
            scopes=texts(scopes, "scopes"),
            accounts=texts(accounts, "accounts"),
            expire_time=optional_time_to_pb(expire_time, "expire_time"),
            calls_per_second_max=whole(calls_per_second_max, "calls_per_second_max", INT32),
        )
    )


def keys_to_pb(
    *, show_revoked: bool, page_size: int, page_token: str = ""
) -> admin_pb2.ListKeysRequest:
    """The request of ListKeys."""
    return admin_pb2.ListKeysRequest(
        show_revoked=flag(show_revoked, "show_revoked"),
        page_size=whole(page_size, "page_size", INT32),
        page_token=text(page_token, "page_token"),
    )


def revoke_key_to_pb(key_id: str) -> admin_pb2.RevokeKeyRequest:
    """The request of RevokeKey."""
    return admin_pb2.RevokeKeyRequest(key_id=text(key_id, "key_id"))


def admin_events_to_pb(
    *, key_id: str | None, page_size: int, page_token: str = ""
) -> admin_pb2.ListAdminEventsRequest:
    """The request of ListAdminEvents."""
    return admin_pb2.ListAdminEventsRequest(
        key_id=optional_text(key_id, "key_id"),
        page_size=whole(page_size, "page_size", INT32),
        page_token=text(page_token, "page_token"),
    )


def create_key_from_pb(reply: admin_pb2.CreateKeyResponse) -> CreateKeyResult:
    """The new key, and its secret."""
    return CreateKeyResult(key=_key(reply.key), secret=reply.secret)


def key_page_from_pb(reply: admin_pb2.ListKeysResponse) -> KeyPage:
    """Keys in the order of the reply."""
    return KeyPage(
        keys=tuple(_key(key) for key in reply.keys), next_page_token=reply.next_page_token
    )


def revoke_key_from_pb(reply: admin_pb2.RevokeKeyResponse) -> Key:
    """The key that was revoked."""
    return _key(reply.key)


def admin_event_page_from_pb(reply: admin_pb2.ListAdminEventsResponse) -> AdminEventPage:
    """Events in the order of the reply."""
    return AdminEventPage(
        events=tuple(_admin_event(event) for event in reply.events),
        next_page_token=reply.next_page_token,
    )


def _key(message: admin_pb2.Key) -> Key:
    return Key(
        key_id=message.key_id,
        title=message.title,
        scopes=tuple(message.scopes),
        accounts=tuple(message.accounts),
        create_time=time_from_field(message, "create_time"),
        expire_time=optional_time_from_field(message, "expire_time"),
        last_use_time=optional_time_from_field(message, "last_use_time"),
        calls_per_second_max=message.calls_per_second_max,
        revoke_time=optional_time_from_field(message, "revoke_time"),
    )


def _admin_event(message: admin_pb2.AdminEvent) -> AdminEvent:
    return AdminEvent(
        create_time=time_from_field(message, "create_time"),
        key_id=message.key_id,
        action=message.action,
        subject=message.subject,
        title=message.title,
    )
