// What the sources that include gRPC share.
#pragma once

#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/byte_buffer.h>

#include <chrono>
#include <cmath>
#include <string>

#include "channel.h"
#include "signals.h"

namespace runwire {

inline grpc::ByteBuffer to_buffer(const std::string& bytes) {
  grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

inline std::string to_bytes(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string found;
  if (!buffer.Dump(&slices).ok()) return found;
  for (const auto& slice : slices) found.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return found;
}

inline std::chrono::system_clock::time_point after(double seconds) {
  return std::chrono::system_clock::now() +
         std::chrono::microseconds(static_cast<int64_t>(std::max(seconds, 0.001) * 1e6));
}

inline Failure to_failure(const grpc::Status& status) {
  return read_failure(status.error_code(), status.error_message(), status.error_details());
}

struct Channel::Inner {
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<grpc::GenericStub> stub;
  std::string token;

  void prepare(grpc::ClientContext& context, double timeout) const {
    if (!token.empty()) context.AddMetadata("authorization", "Bearer " + token);
    if (std::isfinite(timeout)) context.set_deadline(after(timeout));
  }
};

}  // namespace runwire
