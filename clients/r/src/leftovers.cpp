#include "leftovers.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <chrono>
#include <cstdio>
#include <system_error>

#include "clock.h"
#include "ids.h"
#include "problem.h"
#include "telling.h"

namespace runwire {

namespace {

// Larger ones are taken for undelivered without reading them.
constexpr uint64_t kMostRead = 64 * 1024 * 1024;
constexpr std::chrono::milliseconds kSlice{50};

const char kNewWriter[] = "runwire_sync(as_new_writer = TRUE), or `runwire sync --as-new-writer`, delivers what is left";

uint64_t size_of(const std::string& path) {
  struct stat found;
  return ::stat(path.c_str(), &found) == 0 ? static_cast<uint64_t>(found.st_size) : 0;
}

bool is_left(const std::string& folder) {
  try {
    uint64_t size = 0;
    for (const auto& path : segments_in(folder)) size += size_of(path);
    if (size > kMostRead) return !is_held(folder);
    auto spool = Spool::open(folder, kNoLimit);
    bool left = spool->undelivered() > 0 || spool->has_notes();
    spool->close();
    return left;
  } catch (const Held&) {
    return false;
  } catch (const std::system_error&) {
    // Just removed by its owner.
    return false;
  }
}

// Copies what was not delivered to the spool of a new writer that nobody sees yet, and returns its name.
std::string copied(Spool& old, const std::string& root) {
  auto made = Spool::create(root, new_id(), old.address(), kNoLimit, true);
  Place cut;
  old.each_left([&](const Stored& stored) {
    made->prepare(stored.payload.size());
    uint32_t crc = chained(cut.crc, stored.payload);
    made->append(cut.sequence + 1, cut.crc, crc, stored.payload, stored.groups);
    cut = Place{cut.sequence + 1, crc};
  });
  made->note(old.rejections());
  made->sync();
  made->release();
  return made->writer_id();
}

// Makes the spool of a new writer with the frames that the old one did not deliver; the old one is gone afterwards.
// The old spool names its successor once that is whole on the disk, and only then may it be seen: so a crash on the
// way leaves the one or the other, and never both for delivery.
std::unique_ptr<Spool> renewed(std::unique_ptr<Spool> old) {
  std::string root = old->folder().substr(0, old->folder().rfind('/'));
  std::string mark = old->folder() + "/successor";
  if (!exists(mark)) {
    write_file(mark + ".new", copied(*old, root), true);
    if (::rename((mark + ".new").c_str(), mark.c_str()) != 0) failed(mark);
  }
  std::string name = read_file(mark);
  std::string hidden = root + "/." + name, seen = root + "/" + name;
  if (exists(hidden) && ::rename(hidden.c_str(), seen.c_str()) != 0) failed(seen);
  std::string address = old->address();
  // The copy's name is on the disk before the original goes.
  File::open(root, O_RDONLY).sync();
  old->remove();
  if (exists(seen)) return Spool::open(seen, kNoLimit);
  return Spool::create(root, new_id(), address, kNoLimit);
}

// Waits until all is delivered, or nothing is any more; returns why it is not.
std::string wait(Guard& guard, Delivery& delivery, const Lane& lane, const DeliveryOptions& options,
                 double timeout, const Interrupted& interrupted) {
  auto moved = Clock::now();
  int64_t acked = -1;
  for (;;) {
    {
      std::unique_lock<std::mutex> lock(guard.mutex);
      if (lane.writer.pending() == 0) return "";
      if (lane.over) return concat({lane.over->message, " (", lane.over->reason, "); ", kNewWriter});
      if (delivery.refused) return delivery.away->message;
      if (lane.writer.acked().sequence != acked) {
        acked = lane.writer.acked().sequence;
        moved = Clock::now();
      }
      if (delivery.is_hopeless(moved) || since(moved) > timeout) {
        return concat(
            {options.address, ": ", delivery.away ? delivery.away->message : "the server acknowledges nothing"});
      }
      guard.changed.wait_for(lock, kSlice);
    }
    if (interrupted()) throw Interruption();
  }
}

}  // namespace

std::vector<std::string> find_spools(const std::string& folder) {
  if (!is_folder(folder)) throw Problem("value", "there is no folder " + folder);
  if (is_spool_name(folder.substr(folder.rfind('/') + 1)) || !segments_in(folder).empty()) return {folder};
  std::vector<std::string> found;
  for (const auto& name : names_in(folder)) {
    if (is_spool_name(name) && is_folder(folder + "/" + name)) found.push_back(folder + "/" + name);
  }
  return found;
}

std::string offer(const std::string& root) {
  size_t left = 0;
  for (const auto& folder : find_spools(root)) left += is_left(folder);
  if (left == 0) return "";
  std::string what = left == 1 ? "1 spool holds" : std::to_string(left) + " spools hold";
  return concat({what, " what earlier processes did not deliver; `runwire sync ", root, "` delivers it"});
}

std::unique_ptr<Spool> open_leftover(const std::string& folder, bool as_new_writer) {
  try {
    auto spool = Spool::open(folder, kNoLimit);
    if (as_new_writer && spool->undelivered() > 0) spool = renewed(std::move(spool));
    return spool;
  } catch (const Held& held) {
    throw Problem("state", held.what());
  } catch (const std::system_error& error) {
    throw Problem("state", std::string("the spool can not be read: ") + error.what());
  }
}

Delivered deliver_leftover(std::unique_ptr<Spool>& spool, const DeliveryOptions& options, double timeout,
                           const Interrupted& interrupted) {
  Delivered found;
  int64_t start = spool->acked().sequence;
  auto aside = spool->aside();
  if (aside) {
    found.problem = concat({aside->message, " (", aside->reason, "); ", kNewWriter});
  } else if (spool->stray() > 0) {
    auto stray = static_cast<uint64_t>(spool->stray());
    found.problem =
        concat({counted(stray, "frame"), stray == 1 ? " stands" : " stand", " behind a damaged place; ", kNewWriter});
  }
  if (!aside && spool->pending() > 0) {
    Guard guard;
    auto lane = std::make_shared<Lane>(std::move(spool));
    {
      Delivery delivery(options, guard);
      delivery.start();
      {
        std::lock_guard<std::mutex> lock(guard.mutex);
        delivery.carry(lane);
      }
      try {
        std::string problem = wait(guard, delivery, *lane, options, timeout, interrupted);
        if (!problem.empty()) found.problem = problem;
      } catch (const Interruption&) {
        delivery.stop();
        spool = std::move(lane->spool);
        throw;
      }
    }
    spool = std::move(lane->spool);
  }
  for (const auto& one : spool->rejections()) found.rejected.push_back(told(one));
  spool->told();
  found.delivered = spool->acked().sequence - start;
  found.left = spool->undelivered();
  return found;
}

}  // namespace runwire
