"""LedgerService for the synchronous client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from creditd._channel import CallOptions, Metadata
from creditd._convert import ledger as convert
from creditd._sync.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from creditd._attempts import Timeout
    from creditd._values import Amount
    from creditd.model import Balance, GrantResult


class LedgerCalls(Transport):
    """Keeps prepaid credits.

    Every method that moves credits takes a `request_id`, unique within the account, and makes one
    where none is given. The same request_id with the same arguments returns the first answer, with
    others it raises RequestIdReusedError.
    """

    def get_balance(
        self,
        account: str,
        *,
        as_of: datetime | None = None,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> Balance:
        """All figures of an account at one moment: now, or as they were at `as_of`."""
        return self._call(
            self._ledger.GetBalance,
            convert.balance_to_pb(account, as_of),
            convert.balance_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )

    def grant(
        self,
        account: str,
        credits: Amount,  # noqa: A002 - the API's name
        *,
        request_id: str | None = None,
        expire_time: datetime | None = None,
        priority: int = 0,
        source: str = "",
        services: Sequence[str] = (),
        labels: Mapping[str, str] | None = None,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> GrantResult:
        """Adds credits. The first grant opens the account.

        Args:
            account: Who gets the credits.
            credits: How many. A str is sent as it stands.
            request_id: Left out, the client makes one. See LedgerCalls.
            expire_time: Left out, the credits never expire.
            priority: Lower burns first.
            source: Where the credits come from, such as "purchase".
            services: What the credits may pay for. Empty: everything.
            labels: Kept with the entry.
        """
        return self._call(
            self._ledger.Grant,
            convert.grant_to_pb(
                account,
                credits,
                request_id=request_id,
                expire_time=expire_time,
                priority=priority,
                source=source,
                services=services,
                labels=labels,
            ),
            convert.grant_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )
