// How messages are filled from R's lists, and become some.
#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include "r.h"

namespace runwire {

void from_list(google::protobuf::Message& message, SEXP list);
SEXP to_list(const google::protobuf::Message& message);

inline constexpr char kTimestamp[] = "google.protobuf.Timestamp";
inline constexpr char kDuration[] = "google.protobuf.Duration";
inline constexpr char kFieldMask[] = "google.protobuf.FieldMask";

// Whether R sees a message as a number of seconds.
inline bool is_seconds(const google::protobuf::Descriptor* type) {
  return type->full_name() == kTimestamp || type->full_name() == kDuration;
}

}  // namespace runwire
