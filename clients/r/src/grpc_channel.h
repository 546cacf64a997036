// What the sources that include gRPC share.
#pragma once

#include <grpcpp/grpcpp.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>
#include <pthread.h>
#include <signal.h>

#include <chrono>
#include <cmath>
#include <string>

#include "channel.h"

namespace runwire {

// Threads that are started meanwhile take no signals: those are for R's own thread.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

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
