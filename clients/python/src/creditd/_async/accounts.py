"""LedgerService for the asynchronous client: accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from creditd._async.transport import Transport
from creditd._channel import CallOptions, Metadata
from creditd._convert import accounts as convert

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from creditd._attempts import Timeout
    from creditd.model import Account, AccountPage, UpdateAccountResult


class AccountCalls(Transport):
    """Says by which prices accounts pay, and what is known of them."""

    async def get_account(
        self,
        account: str,
        *,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> Account:
        """Gives an account: its rate card, attributes, labels and balance, of one moment.

        Args:
            account: The account.
            timeout: Seconds or a timedelta for the whole call, with its retries. Left out, the
                client's.
            metadata: Further metadata to send, as pairs of key and value.
            x_request_id: The id of the call in the server's log. Left out, the server makes one.

        Returns:
            The account.

        Raises:
            InvalidArgumentError: An argument is refused by the server; `fields` names all that are.
            NotFoundError: There is no such account.
            DeadlineExceededError: No answer in time.
            CreditdError: Another refusal or failure.
            TypeError, ValueError: An argument has no exact form on the wire; nothing was sent.
        """
        return await self._call(
            "GetAccount",
            convert.get_account_to_pb(account),
            convert.get_account_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )

    def list_accounts(
        self,
        prefix: str = "",
        *,
        page_size: int = 0,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> AsyncIterator[Account]:
        """Yields accounts by name, fetched page by page as they are read.

        Args:
            prefix: Only accounts whose names begin so. Empty: all.
            page_size: How many to fetch at a time. 0 means 50; the server sends at most 1,000.
            timeout: Seconds or a timedelta for each page. Left out, the client's.
            metadata: Further metadata to send, as pairs of key and value.
            x_request_id: The id of the call in the server's log. Left out, the server makes one.

        Returns:
            An asynchronous iterator, which raises the errors below as it is read.

        Raises:
            InvalidArgumentError: An argument is refused by the server; `fields` names all that are.
            DeadlineExceededError: No answer in time.
            CreditdError: Another refusal or failure.
            TypeError, ValueError: An argument has no exact form on the wire; nothing was sent.
        """
        pages = self._pages(
            "ListAccounts",
            convert.accounts_to_pb(prefix=prefix, page_size=page_size),
            convert.account_page_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )
        return (account async for page in pages for account in page.accounts)

    async def list_accounts_page(
        self,
        prefix: str = "",
        *,
        page_token: str = "",
        page_size: int = 0,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> AccountPage:
        """Gives one page of `list_accounts`, to show pages or to continue later by the token.

        A page may have fewer accounts than asked for, or none: only an empty `next_page_token` is
        the end.

        Args:
            prefix: Only accounts whose names begin so. Empty: all.
            page_token: The `next_page_token` of the page before, which had the same prefix.
            page_size: How many to fetch at a time. 0 means 50; the server sends at most 1,000.
            timeout: Seconds or a timedelta for the whole call, with its retries. Left out, the
                client's.
            metadata: Further metadata to send, as pairs of key and value.
            x_request_id: The id of the call in the server's log. Left out, the server makes one.

        Returns:
            The accounts, and the token of the page that follows.

        Raises:
            InvalidArgumentError: An argument is refused by the server; `fields` names all that are.
            DeadlineExceededError: No answer in time.
            CreditdError: Another refusal or failure.
            TypeError, ValueError: An argument has no exact form on the wire; nothing was sent.
        """
        return await self._call(
            "ListAccounts",
            convert.accounts_to_pb(prefix=prefix, page_size=page_size, page_token=page_token),
            convert.account_page_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )

    async def update_account(
        self,
        account: str,
        *,
        rate_card: str | None = None,
        attributes: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        request_id: str | None = None,
        allow_missing: bool = False,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> UpdateAccountResult:
        """Sets the rate card, attributes or labels of an account: those that are given.

        It moves no credits and writes no entry. Maps are set whole.

        Args:
            account: The account.
            rate_card: The name of the card by which it is priced where a request names none. "":
                the server's default.
            attributes: What rate cards take from the account, such as {"plan": "growth"}.
            labels: Strings by names, for people.
            request_id: The idempotency key, unique within the account. Left out, the client makes
                one, which is also the `request_id` of errors.
            allow_missing: Open the account, without credits, where the ledger does not know it.
            timeout: Seconds or a timedelta for the whole call, with its retries. Left out, the
                client's.
            metadata: Further metadata to send, as pairs of key and value.
            x_request_id: The id of the call in the server's log. Left out, the server makes one.

        Returns:
            The account after the update.

        Raises:
            InvalidArgumentError: An argument is refused by the server; `fields` names all that are.
            NotFoundError: There is no such account or rate card.
            RequestIdReusedError: The request_id belongs to another call.
            DeadlineExceededError: No answer in time. It may have taken effect: repeat it with the
                error's `request_id`.
            CreditdError: Another refusal or failure.
            TypeError, ValueError: Nothing to update is given, or an argument has no exact form on
                the wire; nothing was sent.
        """
        return await self._call(
            "UpdateAccount",
            convert.update_account_to_pb(
                account,
                rate_card=rate_card,
                attributes=attributes,
                labels=labels,
                request_id=request_id,
                allow_missing=allow_missing,
            ),
            convert.update_account_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )
