"""Messages with every field set, each to a value of its own, made from their descriptors."""

from itertools import count
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status

from tests.support.schema import OUTPUT_ONLY, is_map, is_repeated, masks, message_class

# Of each oneof only one field can be set: the first or the second.
CHOICES = [0, 1]


def sample(message: Descriptor, choice: int = 0) -> dict[str, Any]:
    """The JSON of such a message, as scenarios have it; of each oneof with that choice."""
    return _sample(message, choice, count(1))


def sample_request(message: Descriptor, choice: int = 0) -> dict[str, Any]:
    """The same for a request: without what replies alone have, and each mask names all."""
    request = sample(message, choice)
    for field in message.fields:
        for inner in () if field.message_type is None else field.message_type.fields:
            if inner.full_name in OUTPUT_ONLY:
                del request[field.name][inner.name]
    for mask, updated in masks(message):
        names = [name for name in request[updated.name] if name != updated.name]
        request[mask.name] = FieldMask(paths=names).ToJsonString()
    return request


def parsed(message: Descriptor, json: dict[str, Any]) -> Message:
    """The message with this JSON."""
    return ParseDict(json, message_class(message)())


def _sample(message: Descriptor, choice: int, numbers: "count[int]") -> dict[str, Any]:
    unset = set()
    for oneof in message.oneofs:
        # Items that fail alone are tested elsewhere.
        options = [one.name for one in oneof.fields if one.message_type is not Status.DESCRIPTOR]
        unset |= {one.name for one in oneof.fields} - {options[choice % len(options)]}
    return {
        field.name: _value(field, choice, numbers)
        for field in message.fields
        if field.name not in unset
    }


def _value(field: FieldDescriptor, choice: int, numbers: "count[int]") -> Any:
    if is_map(field):
        value = field.message_type.fields_by_name["value"]
        return {f"key-{next(numbers)}": _single(value, choice, numbers) for _ in range(2)}
    if is_repeated(field):
        return [_single(field, choice, numbers) for _ in range(2)]
    return _single(field, choice, numbers)


def _single(field: FieldDescriptor, choice: int, numbers: "count[int]") -> Any:
    number = next(numbers)
    if field.enum_type is not None:
        # The first one is UNSPECIFIED.
        return field.enum_type.values[1 + number % (len(field.enum_type.values) - 1)].name
    if field.message_type is None:
        # Every text is also an amount.
        kinds = {FieldDescriptor.TYPE_STRING: f"{number}.5", FieldDescriptor.TYPE_BOOL: True}
        return kinds.get(field.type, number)
    if field.message_type.full_name == "google.protobuf.Timestamp":
        return f"2026-01-01T00:{number // 60:02}:{number % 60:02}Z"
    if field.message_type.full_name == "google.protobuf.Duration":
        return f"{number}s"
    return _sample(field.message_type, choice, numbers)
