// Heartbeats of runs, for whose answers nobody waits.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "channel.h"

namespace runwire {

// The serialised requests that say that runs are alive: as many as it takes, for one takes a thousand runs.
std::vector<std::string> heartbeats(const std::vector<std::string>& run_ids);

// To be used by one thread at a time.
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
