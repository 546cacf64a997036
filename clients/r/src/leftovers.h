// What dead processes left undelivered: finds, offers and delivers it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "delivery.h"

namespace runwire {

// Spools below a folder, or the folder itself if it is one; the oldest first. Other folders are not touched. Throws a
// Problem if the folder is missing.
std::vector<std::string> find_spools(const std::string& folder);

// Looks for spools that nobody writes, and removes those that hold nothing. Returns what to tell the user; empty if
// there is nothing.
std::string offer(const std::string& root);

// What became of a spool.
struct Delivered {
  int64_t delivered = 0;
  int64_t left = 0;
  // What the server rejected, a sentence each.
  std::vector<std::string> rejected;
  // Why frames are left; empty if none are.
  std::string problem;
};

// Takes over a spool, or what it did not deliver under a new name. Throws a Problem if it is in use or can not be read.
std::unique_ptr<Spool> open_leftover(const std::string& folder, bool as_new_writer);

// Delivers a spool, and hands it back. Gives up once nothing has moved for `timeout` seconds.
Delivered deliver_leftover(std::unique_ptr<Spool>& spool, const DeliveryOptions& options, double timeout,
                           const Interrupted& interrupted);

}  // namespace runwire
