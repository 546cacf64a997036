// The thread that carries frames to the server: one stream, opened again whenever it breaks.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "channel.h"
#include "clock.h"
#include "spool.h"
#include "writer.h"

namespace runwire {

// Reasons of failures that this side found.
constexpr char kNoLocalServer[] = "LOCAL_SERVER";
constexpr char kSpoolFailed[] = "SPOOL";

// Whether there was no server to talk to.
inline bool is_away(const Failure& failure) { return failure.unreachable() || failure.reason == kNoLocalServer; }

struct RetryOptions {
  double initial = 0.1, multiplier = 2, maximum = 2, connect_timeout = 3;
};

struct DeliveryOptions {
  ChannelOptions channel;
  RetryOptions retry;
  // Seconds after which a stream is cut whose frames are not acknowledged.
  double silence = 30;
  // As a person writes it.
  std::string address;
  // A folder whose server is looked up before each connection; empty where the channel's target is the server.
  std::string folder;
};

// One writer with its spool. A client has one, and a new one when the writer is over.
struct Lane {
  explicit Lane(std::unique_ptr<Spool> held)
      : spool(std::move(held)), writer(spool->writer_id(), spool->acked(), spool->cut()) {}

  std::unique_ptr<Spool> spool;
  Writer writer;
  // Why the writer can not go on.
  std::optional<Failure> over;
};

// Guards lanes, and what a delivery tells of itself; `changed` is notified whenever something does.
struct Guard {
  std::mutex mutex;
  std::condition_variable changed;
};

class Delivery {
 public:
  Delivery(DeliveryOptions options, Guard& guard);
  ~Delivery();

  void start();
  // Says whose frames to carry; the guard is held.
  void carry(std::shared_ptr<Lane> lane);
  // Says that there is a new frame; the guard is held.
  void poke();
  // Whether a server that was never reached is given up by who waits since then; the guard is held. To be asked again
  // and again: it may have found that the pause before the next stream is too long.
  bool is_hopeless(Clock::time_point start);
  // Says that runs are alive, without waiting for an answer.
  void heartbeat(const std::vector<std::string>& run_ids);
  // Ends the stream and the thread.
  void stop();

  // The guard is held for all of these.
  // Whether the server has ever welcomed this client.
  bool reached = false;
  // How the last stream failed, while it is not mended.
  std::optional<Failure> away;
  // Whether a repeat will not heal that, as with a wrong token.
  bool refused = false;
  // What the server rejected, and nobody was told of yet.
  std::vector<Rejection> rejections;
  // Writers that are over, and nobody was told of yet.
  std::vector<std::shared_ptr<Lane>> ended;

 private:
  struct Inner;
  std::unique_ptr<Inner> inner_;
};

}  // namespace runwire
