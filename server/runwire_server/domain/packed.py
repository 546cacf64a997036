"""Messages whose packed number fields are read as bytes, so that a block is an array at once.

On the wire, a packed `repeated double` is the same as a `bytes` field. Message classes derived here
from the public ones declare such fields of `Block` and `StepList` as `repeated bytes`: parsing 10,000
doubles then costs one copy and no Python number. A legal writer that does not pack its numbers shows up
as unknown fields of wire type 1; its message is read again through the public class.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, field_mask_pb2, message_factory, timestamp_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from runwire.v1 import block_pb2, experiment_pb2, frame_pb2, metric_pb2, run_pb2
from runwire_server.domain.blocks import NUMBER

# Which fields are read as bytes, by message.
PACKED = {
    "Block": {"timestamps_ms", "values"},
    "StepList": {"steps"},
    "Curve": {"first_x", "last_x", "min_x", "max_x", "first", "last", "min", "max"},
}
# The files in which they occur, each behind those that it imports.
FILES = (timestamp_pb2, field_mask_pb2, block_pb2, experiment_pb2, run_pb2, frame_pb2, metric_pb2)
_FIXED64 = 1


def _derived_pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    for module in FILES:
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        for message in file.message_type:
            for field in message.field:
                if field.name in PACKED.get(message.name, ()):
                    field.type = FieldDescriptorProto.TYPE_BYTES
                    field.ClearField("options")
        pool.Add(file)
    return pool


def message_class(name: str) -> type[Message]:
    """Returns the derived class of a message of `runwire.v1`."""
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"runwire.v1.{name}"))


_POOL = _derived_pool()


def numbers(chunks: Any) -> bytes:
    """Returns the bytes of a packed field, of which a writer may have made several.

    Raises:
        ValueError: if they are not whole 8-byte numbers.
    """
    data: bytes = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    if len(data) % NUMBER:
        raise ValueError("not a whole number of 8-byte numbers")
    return data


def repacked(block: Any) -> Any:
    """Returns a block whose writer did not pack its numbers as one whose writer did.

    Raises:
        ValueError: if the bytes of a packed field are not whole numbers, or a field is packed in part,
            whose order is lost by now.
    """
    steps = block.steps if block.WhichOneof("axis") == "steps" else None
    if not len(UnknownFieldSet(block)) and not (steps is not None and len(UnknownFieldSet(steps))):
        return block
    if _in_part(block) or (steps is not None and _in_part(steps)):
        raise ValueError("packed in part")
    try:
        public = block_pb2.Block.FromString(block.SerializeToString())
    except DecodeError:
        raise ValueError("not a whole number of 8-byte numbers") from None
    return type(block).FromString(public.SerializeToString())


def _in_part(message: Any) -> bool:
    unknown = UnknownFieldSet(message)
    unpacked = {unknown[i].field_number for i in range(len(unknown)) if unknown[i].wire_type == _FIXED64}
    fields = message.DESCRIPTOR.fields_by_name
    return any(
        fields[name].number in unpacked and len(getattr(message, name)) > 0
        for name in PACKED[message.DESCRIPTOR.name]
    )
