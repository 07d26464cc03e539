"""Messages of LedgerService about accounts."""

from collections.abc import Mapping

from google.protobuf.field_mask_pb2 import FieldMask

from creditd._convert.fields import request_id_or_new
from creditd._convert.ledger import balance_from_pb
from creditd._convert.messages import time_from_field
from creditd._values import INT32, flag, optional_text, text, text_map, whole
from creditd.model import Account, AccountPage, UpdateAccountResult
from creditd.v1 import ledger_pb2


def get_account_to_pb(account: str) -> ledger_pb2.GetAccountRequest:
    """The request of GetAccount."""
    return ledger_pb2.GetAccountRequest(account=text(account, "account"))


def accounts_to_pb(
    *, prefix: str, page_size: int, page_token: str = ""
) -> ledger_pb2.ListAccountsRequest:
    """The request of ListAccounts."""
    return ledger_pb2.ListAccountsRequest(
        prefix=text(prefix, "prefix"),
        page_size=whole(page_size, "page_size", INT32),
        page_token=text(page_token, "page_token"),
    )


def update_account_to_pb(
    account: str,
    *,
    rate_card: str | None,
    attributes: Mapping[str, str] | None,
    labels: Mapping[str, str] | None,
    request_id: str | None,
    allow_missing: bool,
) -> ledger_pb2.UpdateAccountRequest:
    """The request of UpdateAccount, whose mask names what is not None."""
    values = {"rate_card": rate_card, "attributes": attributes, "labels": labels}
    paths = [name for name, value in values.items() if value is not None]
    if not paths:
        raise ValueError(
            "nothing to update; give one or more of rate_card, attributes and labels, "
            'an empty one ("" or {}) to unset it'
        )
    return ledger_pb2.UpdateAccountRequest(
        request_id=request_id_or_new(request_id),
        account=ledger_pb2.Account(
            account=text(account, "account"),
            rate_card=optional_text(rate_card, "rate_card"),
            attributes=text_map(attributes, "attributes"),
            labels=text_map(labels, "labels"),
        ),
        update_mask=FieldMask(paths=paths),
        allow_missing=flag(allow_missing, "allow_missing"),
    )


def get_account_from_pb(reply: ledger_pb2.GetAccountResponse) -> Account:
    """The account."""
    return _account(reply.account)


def account_page_from_pb(reply: ledger_pb2.ListAccountsResponse) -> AccountPage:
    """Accounts in the order of the reply."""
    return AccountPage(
        accounts=tuple(_account(account) for account in reply.accounts),
        next_page_token=reply.next_page_token,
    )


def update_account_from_pb(reply: ledger_pb2.UpdateAccountResponse) -> UpdateAccountResult:
    """The account after the update."""
    return UpdateAccountResult(account=_account(reply.account), replayed=reply.replayed)


def _account(message: ledger_pb2.Account) -> Account:
    return Account(
        account=message.account,
        create_time=time_from_field(message, "create_time"),
        rate_card=message.rate_card,
        attributes=dict(message.attributes),
        labels=dict(message.labels),
        balance=balance_from_pb(message),
    )
