// A stream of frames to the server, as gRPC has it.
#pragma once

#include <grpcpp/alarm.h>

#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "delivery.h"
#include "grpc_channel.h"

namespace runwire {

// What a stream of frames is at: all of it belongs to the delivery's thread but what is atomic or guarded.
struct Stream {
  enum Tag : intptr_t { kStart = 1, kRead, kWrite, kDone, kFinish, kWake };

  Stream(std::shared_ptr<Channel> given, std::shared_ptr<Lane> carried)
      : channel(std::move(given)), lane(std::move(carried)) {}

  std::shared_ptr<Channel> channel;
  std::shared_ptr<Lane> lane;
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call;
  grpc::ByteBuffer incoming;
  grpc::Status status;
  std::optional<Failure> failure;
  // Whose turn it is to be said, in front of further frames.
  std::deque<std::string> outgoing;
  std::set<std::string> declared;
  std::optional<Stored> next;
  bool writing = true;
  bool closed = false;
  bool finishing = false;
  bool finished = false;
  int waiting = 0;

  // The guard is held for these.
  bool poked = false;
  std::unique_ptr<grpc::Alarm> alarm;

  void* begin(Tag tag) {
    waiting++;
    return reinterpret_cast<void*>(tag);
  }
};

}  // namespace runwire
