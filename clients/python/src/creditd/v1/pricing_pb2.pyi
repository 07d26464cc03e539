from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.rpc import status_pb2 as _status_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AttributeSource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ATTRIBUTE_SOURCE_UNSPECIFIED: _ClassVar[AttributeSource]
    ATTRIBUTE_SOURCE_CALLER: _ClassVar[AttributeSource]
    ATTRIBUTE_SOURCE_ACCOUNT: _ClassVar[AttributeSource]
    ATTRIBUTE_SOURCE_CLOCK: _ClassVar[AttributeSource]
ATTRIBUTE_SOURCE_UNSPECIFIED: AttributeSource
ATTRIBUTE_SOURCE_CALLER: AttributeSource
ATTRIBUTE_SOURCE_ACCOUNT: AttributeSource
ATTRIBUTE_SOURCE_CLOCK: AttributeSource

class Usage(_message.Message):
    __slots__ = ("service", "duration", "count", "attributes", "meters")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class MetersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    METERS_FIELD_NUMBER: _ClassVar[int]
    service: str
    duration: _duration_pb2.Duration
    count: int
    attributes: _containers.ScalarMap[str, str]
    meters: _containers.ScalarMap[str, str]
    def __init__(self, service: _Optional[str] = ..., duration: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., count: _Optional[int] = ..., attributes: _Optional[_Mapping[str, str]] = ..., meters: _Optional[_Mapping[str, str]] = ...) -> None: ...

class PriceSelector(_message.Message):
    __slots__ = ("account", "rate_card", "revision", "price_time")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    RATE_CARD_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    PRICE_TIME_FIELD_NUMBER: _ClassVar[int]
    account: str
    rate_card: str
    revision: str
    price_time: _timestamp_pb2.Timestamp
    def __init__(self, account: _Optional[str] = ..., rate_card: _Optional[str] = ..., revision: _Optional[str] = ..., price_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class EstimateRequest(_message.Message):
    __slots__ = ("usage", "prices", "explain", "check_balance")
    USAGE_FIELD_NUMBER: _ClassVar[int]
    PRICES_FIELD_NUMBER: _ClassVar[int]
    EXPLAIN_FIELD_NUMBER: _ClassVar[int]
    CHECK_BALANCE_FIELD_NUMBER: _ClassVar[int]
    usage: Usage
    prices: PriceSelector
    explain: bool
    check_balance: bool
    def __init__(self, usage: _Optional[_Union[Usage, _Mapping]] = ..., prices: _Optional[_Union[PriceSelector, _Mapping]] = ..., explain: bool = ..., check_balance: bool = ...) -> None: ...

class EstimateResponse(_message.Message):
    __slots__ = ("estimate", "affordability")
    ESTIMATE_FIELD_NUMBER: _ClassVar[int]
    AFFORDABILITY_FIELD_NUMBER: _ClassVar[int]
    estimate: Estimate
    affordability: Affordability
    def __init__(self, estimate: _Optional[_Union[Estimate, _Mapping]] = ..., affordability: _Optional[_Union[Affordability, _Mapping]] = ...) -> None: ...

class Affordability(_message.Message):
    __slots__ = ("sufficient", "available", "shortfall")
    SUFFICIENT_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    SHORTFALL_FIELD_NUMBER: _ClassVar[int]
    sufficient: bool
    available: str
    shortfall: str
    def __init__(self, sufficient: bool = ..., available: _Optional[str] = ..., shortfall: _Optional[str] = ...) -> None: ...

class Estimate(_message.Message):
    __slots__ = ("service", "credits", "display_credits", "rate_card", "revision", "lines", "account_known")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    CREDITS_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_CREDITS_FIELD_NUMBER: _ClassVar[int]
    RATE_CARD_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_KNOWN_FIELD_NUMBER: _ClassVar[int]
    service: str
    credits: str
    display_credits: str
    rate_card: str
    revision: str
    lines: _containers.RepeatedCompositeFieldContainer[EstimateLine]
    account_known: bool
    def __init__(self, service: _Optional[str] = ..., credits: _Optional[str] = ..., display_credits: _Optional[str] = ..., rate_card: _Optional[str] = ..., revision: _Optional[str] = ..., lines: _Optional[_Iterable[_Union[EstimateLine, _Mapping]]] = ..., account_known: bool = ...) -> None: ...

class EstimateLine(_message.Message):
    __slots__ = ("description", "quantity", "unit", "unit_credits", "credits", "key")
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    UNIT_CREDITS_FIELD_NUMBER: _ClassVar[int]
    CREDITS_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    description: str
    quantity: str
    unit: str
    unit_credits: str
    credits: str
    key: str
    def __init__(self, description: _Optional[str] = ..., quantity: _Optional[str] = ..., unit: _Optional[str] = ..., unit_credits: _Optional[str] = ..., credits: _Optional[str] = ..., key: _Optional[str] = ...) -> None: ...

class BatchEstimateRequest(_message.Message):
    __slots__ = ("usages", "prices", "explain", "check_balance")
    USAGES_FIELD_NUMBER: _ClassVar[int]
    PRICES_FIELD_NUMBER: _ClassVar[int]
    EXPLAIN_FIELD_NUMBER: _ClassVar[int]
    CHECK_BALANCE_FIELD_NUMBER: _ClassVar[int]
    usages: _containers.RepeatedCompositeFieldContainer[Usage]
    prices: PriceSelector
    explain: bool
    check_balance: bool
    def __init__(self, usages: _Optional[_Iterable[_Union[Usage, _Mapping]]] = ..., prices: _Optional[_Union[PriceSelector, _Mapping]] = ..., explain: bool = ..., check_balance: bool = ...) -> None: ...

class BatchEstimateResponse(_message.Message):
    __slots__ = ("results", "total_credits", "failed_count", "affordability")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_CREDITS_FIELD_NUMBER: _ClassVar[int]
    FAILED_COUNT_FIELD_NUMBER: _ClassVar[int]
    AFFORDABILITY_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[BatchEstimateResult]
    total_credits: str
    failed_count: int
    affordability: Affordability
    def __init__(self, results: _Optional[_Iterable[_Union[BatchEstimateResult, _Mapping]]] = ..., total_credits: _Optional[str] = ..., failed_count: _Optional[int] = ..., affordability: _Optional[_Union[Affordability, _Mapping]] = ...) -> None: ...

class BatchEstimateResult(_message.Message):
    __slots__ = ("estimate", "error")
    ESTIMATE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    estimate: Estimate
    error: _status_pb2.Status
    def __init__(self, estimate: _Optional[_Union[Estimate, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class GetRateCardRequest(_message.Message):
    __slots__ = ("prices", "services", "page_size", "page_token")
    PRICES_FIELD_NUMBER: _ClassVar[int]
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    prices: PriceSelector
    services: _containers.RepeatedScalarFieldContainer[str]
    page_size: int
    page_token: str
    def __init__(self, prices: _Optional[_Union[PriceSelector, _Mapping]] = ..., services: _Optional[_Iterable[str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class GetRateCardResponse(_message.Message):
    __slots__ = ("rate_card", "revision", "services", "title", "effective_time", "next_effective_time", "next_page_token")
    RATE_CARD_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    NEXT_EFFECTIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    rate_card: str
    revision: str
    services: _containers.RepeatedCompositeFieldContainer[ServicePrice]
    title: str
    effective_time: _timestamp_pb2.Timestamp
    next_effective_time: _timestamp_pb2.Timestamp
    next_page_token: str
    def __init__(self, rate_card: _Optional[str] = ..., revision: _Optional[str] = ..., services: _Optional[_Iterable[_Union[ServicePrice, _Mapping]]] = ..., title: _Optional[str] = ..., effective_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., next_effective_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ServicePrice(_message.Message):
    __slots__ = ("service", "title", "rule", "meters", "quantity_max", "meter_details", "attributes")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    METERS_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_MAX_FIELD_NUMBER: _ClassVar[int]
    METER_DETAILS_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    service: str
    title: str
    rule: str
    meters: _containers.RepeatedScalarFieldContainer[str]
    quantity_max: str
    meter_details: _containers.RepeatedCompositeFieldContainer[Meter]
    attributes: _containers.RepeatedCompositeFieldContainer[Attribute]
    def __init__(self, service: _Optional[str] = ..., title: _Optional[str] = ..., rule: _Optional[str] = ..., meters: _Optional[_Iterable[str]] = ..., quantity_max: _Optional[str] = ..., meter_details: _Optional[_Iterable[_Union[Meter, _Mapping]]] = ..., attributes: _Optional[_Iterable[_Union[Attribute, _Mapping]]] = ...) -> None: ...

class Meter(_message.Message):
    __slots__ = ("meter", "unit", "decimals", "default_value", "min", "max")
    METER_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    DECIMALS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_VALUE_FIELD_NUMBER: _ClassVar[int]
    MIN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    meter: str
    unit: str
    decimals: int
    default_value: str
    min: str
    max: str
    def __init__(self, meter: _Optional[str] = ..., unit: _Optional[str] = ..., decimals: _Optional[int] = ..., default_value: _Optional[str] = ..., min: _Optional[str] = ..., max: _Optional[str] = ...) -> None: ...

class Attribute(_message.Message):
    __slots__ = ("attribute", "values", "default_value", "source")
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_VALUE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    attribute: str
    values: _containers.RepeatedScalarFieldContainer[str]
    default_value: str
    source: AttributeSource
    def __init__(self, attribute: _Optional[str] = ..., values: _Optional[_Iterable[str]] = ..., default_value: _Optional[str] = ..., source: _Optional[_Union[AttributeSource, str]] = ...) -> None: ...
