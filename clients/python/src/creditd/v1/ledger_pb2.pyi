from creditd.v1 import pricing_pb2 as _pricing_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.rpc import status_pb2 as _status_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class HoldStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    HOLD_STATUS_UNSPECIFIED: _ClassVar[HoldStatus]
    HOLD_STATUS_OPEN: _ClassVar[HoldStatus]
    HOLD_STATUS_SETTLED: _ClassVar[HoldStatus]
    HOLD_STATUS_RELEASED: _ClassVar[HoldStatus]
    HOLD_STATUS_EXPIRED: _ClassVar[HoldStatus]

class Overage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OVERAGE_UNSPECIFIED: _ClassVar[Overage]
    OVERAGE_REJECT: _ClassVar[Overage]
    OVERAGE_FROM_AVAILABLE: _ClassVar[Overage]

class EntryKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENTRY_KIND_UNSPECIFIED: _ClassVar[EntryKind]
    ENTRY_KIND_GRANT: _ClassVar[EntryKind]
    ENTRY_KIND_CHARGE: _ClassVar[EntryKind]
    ENTRY_KIND_REFUND: _ClassVar[EntryKind]
    ENTRY_KIND_HOLD: _ClassVar[EntryKind]
    ENTRY_KIND_SETTLE: _ClassVar[EntryKind]
    ENTRY_KIND_RELEASE: _ClassVar[EntryKind]
    ENTRY_KIND_EXPIRE: _ClassVar[EntryKind]
    ENTRY_KIND_REVOKE: _ClassVar[EntryKind]
HOLD_STATUS_UNSPECIFIED: HoldStatus
HOLD_STATUS_OPEN: HoldStatus
HOLD_STATUS_SETTLED: HoldStatus
HOLD_STATUS_RELEASED: HoldStatus
HOLD_STATUS_EXPIRED: HoldStatus
OVERAGE_UNSPECIFIED: Overage
OVERAGE_REJECT: Overage
OVERAGE_FROM_AVAILABLE: Overage
ENTRY_KIND_UNSPECIFIED: EntryKind
ENTRY_KIND_GRANT: EntryKind
ENTRY_KIND_CHARGE: EntryKind
ENTRY_KIND_REFUND: EntryKind
ENTRY_KIND_HOLD: EntryKind
ENTRY_KIND_SETTLE: EntryKind
ENTRY_KIND_RELEASE: EntryKind
ENTRY_KIND_EXPIRE: EntryKind
ENTRY_KIND_REVOKE: EntryKind

class Account(_message.Message):
    __slots__ = ("account", "create_time", "rate_card", "attributes", "labels", "balance")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    RATE_CARD_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    account: str
    create_time: _timestamp_pb2.Timestamp
    rate_card: str
    attributes: _containers.ScalarMap[str, str]
    labels: _containers.ScalarMap[str, str]
    balance: Balance
    def __init__(self, account: _Optional[str] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., rate_card: _Optional[str] = ..., attributes: _Optional[_Mapping[str, str]] = ..., labels: _Optional[_Mapping[str, str]] = ..., balance: _Optional[_Union[Balance, _Mapping]] = ...) -> None: ...

class GetAccountRequest(_message.Message):
    __slots__ = ("account",)
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    account: str
    def __init__(self, account: _Optional[str] = ...) -> None: ...

class GetAccountResponse(_message.Message):
    __slots__ = ("account",)
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    account: Account
    def __init__(self, account: _Optional[_Union[Account, _Mapping]] = ...) -> None: ...

class ListAccountsRequest(_message.Message):
    __slots__ = ("prefix", "page_size", "page_token")
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    prefix: str
    page_size: int
    page_token: str
    def __init__(self, prefix: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListAccountsResponse(_message.Message):
    __slots__ = ("accounts", "next_page_token")
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    accounts: _containers.RepeatedCompositeFieldContainer[Account]
    next_page_token: str
    def __init__(self, accounts: _Optional[_Iterable[_Union[Account, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateAccountRequest(_message.Message):
    __slots__ = ("request_id", "account", "update_mask", "allow_missing")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    ALLOW_MISSING_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    account: Account
    update_mask: _field_mask_pb2.FieldMask
    allow_missing: bool
    def __init__(self, request_id: _Optional[str] = ..., account: _Optional[_Union[Account, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., allow_missing: bool = ...) -> None: ...

class UpdateAccountResponse(_message.Message):
    __slots__ = ("account", "replayed")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    account: Account
    replayed: bool
    def __init__(self, account: _Optional[_Union[Account, _Mapping]] = ..., replayed: bool = ...) -> None: ...

class GetBalanceRequest(_message.Message):
    __slots__ = ("account", "as_of")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    account: str
    as_of: _timestamp_pb2.Timestamp
    def __init__(self, account: _Optional[str] = ..., as_of: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetBalanceResponse(_message.Message):
    __slots__ = ("balance",)
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    balance: Balance
    def __init__(self, balance: _Optional[_Union[Balance, _Mapping]] = ...) -> None: ...

class WatchBalanceRequest(_message.Message):
    __slots__ = ("account",)
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    account: str
    def __init__(self, account: _Optional[str] = ...) -> None: ...

class WatchBalanceResponse(_message.Message):
    __slots__ = ("balance",)
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    balance: Balance
    def __init__(self, balance: _Optional[_Union[Balance, _Mapping]] = ...) -> None: ...

class Balance(_message.Message):
    __slots__ = ("account", "available", "held", "grants", "read_time", "version")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    GRANTS_FIELD_NUMBER: _ClassVar[int]
    READ_TIME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    account: str
    available: str
    held: str
    grants: _containers.RepeatedCompositeFieldContainer[GrantBalance]
    read_time: _timestamp_pb2.Timestamp
    version: int
    def __init__(self, account: _Optional[str] = ..., available: _Optional[str] = ..., held: _Optional[str] = ..., grants: _Optional[_Iterable[_Union[GrantBalance, _Mapping]]] = ..., read_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., version: _Optional[int] = ...) -> None: ...

class GrantBalance(_message.Message):
    __slots__ = ("grant_id", "granted", "remaining", "priority", "expire_time", "source", "held", "services", "create_time")
    GRANT_ID_FIELD_NUMBER: _ClassVar[int]
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    grant_id: str
    granted: str
    remaining: str
    priority: int
    expire_time: _timestamp_pb2.Timestamp
    source: str
    held: str
    services: _containers.RepeatedScalarFieldContainer[str]
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, grant_id: _Optional[str] = ..., granted: _Optional[str] = ..., remaining: _Optional[str] = ..., priority: _Optional[int] = ..., expire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., source: _Optional[str] = ..., held: _Optional[str] = ..., services: _Optional[_Iterable[str]] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GrantRequest(_message.Message):
    __slots__ = ("request_id", "account", "credits", "expire_time", "priority", "source", "services", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    CREDITS_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    account: str
    credits: str
    expire_time: _timestamp_pb2.Timestamp
    priority: int
    source: str
    services: _containers.RepeatedScalarFieldContainer[str]
    labels: _containers.ScalarMap[str, str]
    def __init__(self, request_id: _Optional[str] = ..., account: _Optional[str] = ..., credits: _Optional[str] = ..., expire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., priority: _Optional[int] = ..., source: _Optional[str] = ..., services: _Optional[_Iterable[str]] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class GrantResponse(_message.Message):
    __slots__ = ("entry", "available", "replayed")
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    entry: Entry
    available: str
    replayed: bool
    def __init__(self, entry: _Optional[_Union[Entry, _Mapping]] = ..., available: _Optional[str] = ..., replayed: bool = ...) -> None: ...

class RevokeGrantRequest(_message.Message):
    __slots__ = ("request_id", "account", "grant_id", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    GRANT_ID_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    account: str
    grant_id: str
    labels: _containers.ScalarMap[str, str]
    def __init__(self, request_id: _Optional[str] = ..., account: _Optional[str] = ..., grant_id: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class RevokeGrantResponse(_message.Message):
    __slots__ = ("entry", "available", "replayed")
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    entry: Entry
    available: str
    replayed: bool
    def __init__(self, entry: _Optional[_Union[Entry, _Mapping]] = ..., available: _Optional[str] = ..., replayed: bool = ...) -> None: ...

class ChargeRequest(_message.Message):
    __slots__ = ("request_id", "account", "usage", "credits", "prices", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    CREDITS_FIELD_NUMBER: _ClassVar[int]
    PRICES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    account: str
    usage: _pricing_pb2.Usage
    credits: str
    prices: _pricing_pb2.PriceSelector
    labels: _containers.ScalarMap[str, str]
    def __init__(self, request_id: _Optional[str] = ..., account: _Optional[str] = ..., usage: _Optional[_Union[_pricing_pb2.Usage, _Mapping]] = ..., credits: _Optional[str] = ..., prices: _Optional[_Union[_pricing_pb2.PriceSelector, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ChargeResponse(_message.Message):
    __slots__ = ("entry", "available", "replayed")
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    entry: Entry
    available: str
    replayed: bool
    def __init__(self, entry: _Optional[_Union[Entry, _Mapping]] = ..., available: _Optional[str] = ..., replayed: bool = ...) -> None: ...

class BatchChargeRequest(_message.Message):
    __slots__ = ("charges",)
    CHARGES_FIELD_NUMBER: _ClassVar[int]
    charges: _containers.RepeatedCompositeFieldContainer[ChargeRequest]
    def __init__(self, charges: _Optional[_Iterable[_Union[ChargeRequest, _Mapping]]] = ...) -> None: ...

class BatchChargeResponse(_message.Message):
    __slots__ = ("results", "failed_count")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    FAILED_COUNT_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[BatchChargeResult]
    failed_count: int
    def __init__(self, results: _Optional[_Iterable[_Union[BatchChargeResult, _Mapping]]] = ..., failed_count: _Optional[int] = ...) -> None: ...

class BatchChargeResult(_message.Message):
    __slots__ = ("charge", "error")
    CHARGE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    charge: ChargeResponse
    error: _status_pb2.Status
    def __init__(self, charge: _Optional[_Union[ChargeResponse, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class RefundRequest(_message.Message):
    __slots__ = ("request_id", "account", "entry_id", "credits", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    CREDITS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    account: str
    entry_id: str
    credits: str
    labels: _containers.ScalarMap[str, str]
    def __init__(self, request_id: _Optional[str] = ..., account: _Optional[str] = ..., entry_id: _Optional[str] = ..., credits: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class RefundResponse(_message.Message):
    __slots__ = ("entry", "available", "replayed")
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    entry: Entry
    available: str
    replayed: bool
    def __init__(self, entry: _Optional[_Union[Entry, _Mapping]] = ..., available: _Optional[str] = ..., replayed: bool = ...) -> None: ...

class HoldRequest(_message.Message):
    __slots__ = ("request_id", "account", "usage", "credits", "prices", "ttl", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    CREDITS_FIELD_NUMBER: _ClassVar[int]
    PRICES_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    account: str
    usage: _pricing_pb2.Usage
    credits: str
    prices: _pricing_pb2.PriceSelector
    ttl: _duration_pb2.Duration
    labels: _containers.ScalarMap[str, str]
    def __init__(self, request_id: _Optional[str] = ..., account: _Optional[str] = ..., usage: _Optional[_Union[_pricing_pb2.Usage, _Mapping]] = ..., credits: _Optional[str] = ..., prices: _Optional[_Union[_pricing_pb2.PriceSelector, _Mapping]] = ..., ttl: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class HoldResponse(_message.Message):
    __slots__ = ("hold", "available", "replayed")
    HOLD_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    hold: HoldState
    available: str
    replayed: bool
    def __init__(self, hold: _Optional[_Union[HoldState, _Mapping]] = ..., available: _Optional[str] = ..., replayed: bool = ...) -> None: ...

class HoldState(_message.Message):
    __slots__ = ("hold_id", "held", "settled", "expire_time", "status", "account", "create_time", "service", "labels", "request_id", "usage", "price_values")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class PriceValuesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    HOLD_ID_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    PRICE_VALUES_FIELD_NUMBER: _ClassVar[int]
    hold_id: str
    held: str
    settled: str
    expire_time: _timestamp_pb2.Timestamp
    status: HoldStatus
    account: str
    create_time: _timestamp_pb2.Timestamp
    service: str
    labels: _containers.ScalarMap[str, str]
    request_id: str
    usage: _pricing_pb2.Usage
    price_values: _containers.ScalarMap[str, str]
    def __init__(self, hold_id: _Optional[str] = ..., held: _Optional[str] = ..., settled: _Optional[str] = ..., expire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., status: _Optional[_Union[HoldStatus, str]] = ..., account: _Optional[str] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., service: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., request_id: _Optional[str] = ..., usage: _Optional[_Union[_pricing_pb2.Usage, _Mapping]] = ..., price_values: _Optional[_Mapping[str, str]] = ...) -> None: ...

class GetHoldRequest(_message.Message):
    __slots__ = ("account", "hold_id")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    HOLD_ID_FIELD_NUMBER: _ClassVar[int]
    account: str
    hold_id: str
    def __init__(self, account: _Optional[str] = ..., hold_id: _Optional[str] = ...) -> None: ...

class GetHoldResponse(_message.Message):
    __slots__ = ("hold",)
    HOLD_FIELD_NUMBER: _ClassVar[int]
    hold: HoldState
    def __init__(self, hold: _Optional[_Union[HoldState, _Mapping]] = ...) -> None: ...

class ListHoldsRequest(_message.Message):
    __slots__ = ("account", "page_size", "page_token", "request_id", "labels", "start_time", "end_time")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    account: str
    page_size: int
    page_token: str
    request_id: str
    labels: _containers.ScalarMap[str, str]
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    def __init__(self, account: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., request_id: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., start_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListHoldsResponse(_message.Message):
    __slots__ = ("holds", "next_page_token")
    HOLDS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    holds: _containers.RepeatedCompositeFieldContainer[HoldState]
    next_page_token: str
    def __init__(self, holds: _Optional[_Iterable[_Union[HoldState, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ExtendHoldRequest(_message.Message):
    __slots__ = ("request_id", "account", "hold_id", "ttl")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    HOLD_ID_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    account: str
    hold_id: str
    ttl: _duration_pb2.Duration
    def __init__(self, request_id: _Optional[str] = ..., account: _Optional[str] = ..., hold_id: _Optional[str] = ..., ttl: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ExtendHoldResponse(_message.Message):
    __slots__ = ("hold", "replayed")
    HOLD_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    hold: HoldState
    replayed: bool
    def __init__(self, hold: _Optional[_Union[HoldState, _Mapping]] = ..., replayed: bool = ...) -> None: ...

class SettleHoldRequest(_message.Message):
    __slots__ = ("request_id", "account", "hold_id", "usage", "credits", "keep_open", "overage", "prices", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    HOLD_ID_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    CREDITS_FIELD_NUMBER: _ClassVar[int]
    KEEP_OPEN_FIELD_NUMBER: _ClassVar[int]
    OVERAGE_FIELD_NUMBER: _ClassVar[int]
    PRICES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    account: str
    hold_id: str
    usage: _pricing_pb2.Usage
    credits: str
    keep_open: bool
    overage: Overage
    prices: _pricing_pb2.PriceSelector
    labels: _containers.ScalarMap[str, str]
    def __init__(self, request_id: _Optional[str] = ..., account: _Optional[str] = ..., hold_id: _Optional[str] = ..., usage: _Optional[_Union[_pricing_pb2.Usage, _Mapping]] = ..., credits: _Optional[str] = ..., keep_open: bool = ..., overage: _Optional[_Union[Overage, str]] = ..., prices: _Optional[_Union[_pricing_pb2.PriceSelector, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class SettleHoldResponse(_message.Message):
    __slots__ = ("entry", "hold", "available", "replayed")
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    HOLD_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    entry: Entry
    hold: HoldState
    available: str
    replayed: bool
    def __init__(self, entry: _Optional[_Union[Entry, _Mapping]] = ..., hold: _Optional[_Union[HoldState, _Mapping]] = ..., available: _Optional[str] = ..., replayed: bool = ...) -> None: ...

class ReleaseHoldRequest(_message.Message):
    __slots__ = ("request_id", "account", "hold_id")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    HOLD_ID_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    account: str
    hold_id: str
    def __init__(self, request_id: _Optional[str] = ..., account: _Optional[str] = ..., hold_id: _Optional[str] = ...) -> None: ...

class ReleaseHoldResponse(_message.Message):
    __slots__ = ("hold", "available", "replayed")
    HOLD_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    hold: HoldState
    available: str
    replayed: bool
    def __init__(self, hold: _Optional[_Union[HoldState, _Mapping]] = ..., available: _Optional[str] = ..., replayed: bool = ...) -> None: ...

class ListEntriesRequest(_message.Message):
    __slots__ = ("account", "page_size", "page_token", "start_time", "end_time", "kinds", "service", "hold_id", "key_id")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    HOLD_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    account: str
    page_size: int
    page_token: str
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    kinds: _containers.RepeatedScalarFieldContainer[EntryKind]
    service: str
    hold_id: str
    key_id: str
    def __init__(self, account: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., start_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., kinds: _Optional[_Iterable[_Union[EntryKind, str]]] = ..., service: _Optional[str] = ..., hold_id: _Optional[str] = ..., key_id: _Optional[str] = ...) -> None: ...

class ListEntriesResponse(_message.Message):
    __slots__ = ("entries", "next_page_token", "opening_balance")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    OPENING_BALANCE_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[Entry]
    next_page_token: str
    opening_balance: OpeningBalance
    def __init__(self, entries: _Optional[_Iterable[_Union[Entry, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., opening_balance: _Optional[_Union[OpeningBalance, _Mapping]] = ...) -> None: ...

class OpeningBalance(_message.Message):
    __slots__ = ("available", "held", "entry_id", "create_time", "archive")
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ARCHIVE_FIELD_NUMBER: _ClassVar[int]
    available: str
    held: str
    entry_id: str
    create_time: _timestamp_pb2.Timestamp
    archive: int
    def __init__(self, available: _Optional[str] = ..., held: _Optional[str] = ..., entry_id: _Optional[str] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., archive: _Optional[int] = ...) -> None: ...

class Entry(_message.Message):
    __slots__ = ("entry_id", "account", "kind", "credits", "available", "create_time", "request_id", "service", "rate_card", "revision", "labels", "spent", "held", "usage", "grant_id", "hold_id", "refunded_entry_id", "version", "grants", "source", "expire_time", "priority", "services", "price_values", "key_id", "price_time")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class PriceValuesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CREDITS_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    RATE_CARD_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    SPENT_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    GRANT_ID_FIELD_NUMBER: _ClassVar[int]
    HOLD_ID_FIELD_NUMBER: _ClassVar[int]
    REFUNDED_ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    GRANTS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    PRICE_VALUES_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    PRICE_TIME_FIELD_NUMBER: _ClassVar[int]
    entry_id: str
    account: str
    kind: EntryKind
    credits: str
    available: str
    create_time: _timestamp_pb2.Timestamp
    request_id: str
    service: str
    rate_card: str
    revision: str
    labels: _containers.ScalarMap[str, str]
    spent: str
    held: str
    usage: _pricing_pb2.Usage
    grant_id: str
    hold_id: str
    refunded_entry_id: str
    version: int
    grants: _containers.RepeatedCompositeFieldContainer[GrantShare]
    source: str
    expire_time: _timestamp_pb2.Timestamp
    priority: int
    services: _containers.RepeatedScalarFieldContainer[str]
    price_values: _containers.ScalarMap[str, str]
    key_id: str
    price_time: _timestamp_pb2.Timestamp
    def __init__(self, entry_id: _Optional[str] = ..., account: _Optional[str] = ..., kind: _Optional[_Union[EntryKind, str]] = ..., credits: _Optional[str] = ..., available: _Optional[str] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., request_id: _Optional[str] = ..., service: _Optional[str] = ..., rate_card: _Optional[str] = ..., revision: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., spent: _Optional[str] = ..., held: _Optional[str] = ..., usage: _Optional[_Union[_pricing_pb2.Usage, _Mapping]] = ..., grant_id: _Optional[str] = ..., hold_id: _Optional[str] = ..., refunded_entry_id: _Optional[str] = ..., version: _Optional[int] = ..., grants: _Optional[_Iterable[_Union[GrantShare, _Mapping]]] = ..., source: _Optional[str] = ..., expire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., priority: _Optional[int] = ..., services: _Optional[_Iterable[str]] = ..., price_values: _Optional[_Mapping[str, str]] = ..., key_id: _Optional[str] = ..., price_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GrantShare(_message.Message):
    __slots__ = ("grant_id", "credits", "held")
    GRANT_ID_FIELD_NUMBER: _ClassVar[int]
    CREDITS_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    grant_id: str
    credits: str
    held: str
    def __init__(self, grant_id: _Optional[str] = ..., credits: _Optional[str] = ..., held: _Optional[str] = ...) -> None: ...
