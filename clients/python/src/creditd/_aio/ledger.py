"""LedgerService for the asynchronous client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from creditd._aio.transport import Transport
from creditd._channel import CallOptions, Metadata
from creditd._convert import ledger as convert

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from creditd._attempts import Timeout
    from creditd._values import Amount
    from creditd.model import Balance, GrantResult


class LedgerCalls(Transport):
    """Keeps prepaid credits; see Client."""

    async def get_balance(
        self,
        account: str,
        *,
        as_of: datetime | None = None,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> Balance:
        """See `Client.get_balance`."""
        return await self._call(
            self._ledger.GetBalance,
            convert.balance_to_pb(account, as_of),
            convert.balance_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )

    async def grant(
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
        """See `Client.grant`."""
        return await self._call(
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
