// A connection to a server, and calls on it with serialised messages. Nothing here knows R.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "status.h"

namespace runwire {

struct ChannelOptions {
  std::string target;
  bool secure = false;
  bool local = false;
  // PEM of the certificates to trust; empty for those of the system.
  std::string tls_ca;
  // Empty for none.
  std::string token;
  double connect_timeout = 3;
  std::string user_agent;
};

// Asked about every 50 ms while a call waits; true ends the call.
using Interrupted = std::function<bool()>;

// A user's interrupt ended the wait.
struct Interruption {};

class Channel {
 public:
  explicit Channel(const ChannelOptions& options);
  ~Channel();

  // Sends a request and waits for the answer. `timeout` in seconds, infinite for none.
  Failure unary(const std::string& method, const std::string& request, double timeout,
                const Interrupted& interrupted, std::string* response);

  struct Inner;
  Inner& inner() { return *inner_; }

 private:
  std::unique_ptr<Inner> inner_;
};

// Requests that are all said at once, and an answer that is streamed.
class ServerStream {
 public:
  ServerStream(std::shared_ptr<Channel> channel, const std::string& method, std::vector<std::string> requests,
               double timeout);
  ~ServerStream();

  enum class Read { kMessage, kEnd, kNothingYet };

  // Waits for the next message, at most `patience` seconds; at the end `failure` says how the stream ended.
  Read read(double patience, const Interrupted& interrupted, std::string* message);
  const Failure& failure() const;
  void cancel();

 private:
  struct Inner;
  std::unique_ptr<Inner> inner_;
};

// Heartbeats of runs, for whose answers nobody waits. To be used by one thread at a time.
class Beats {
 public:
  Beats();
  ~Beats();

  // Says that runs are alive.
  void send(Channel& channel, const std::vector<std::string>& run_ids);
  // Ends those that are on their way; nothing is sent afterwards.
  void stop();

 private:
  struct Inner;
  std::unique_ptr<Inner> inner_;
};

}  // namespace runwire
