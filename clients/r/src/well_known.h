// Messages of Google's that R sees as values of its own.
#pragma once

#include <google/protobuf/descriptor.h>

namespace runwire {

inline constexpr char kTimestamp[] = "google.protobuf.Timestamp";
inline constexpr char kDuration[] = "google.protobuf.Duration";
inline constexpr char kFieldMask[] = "google.protobuf.FieldMask";

// Whether R sees a message as a number of seconds.
inline bool is_seconds(const google::protobuf::Descriptor* type) {
  return type->full_name() == kTimestamp || type->full_name() == kDuration;
}

}  // namespace runwire
