#include "sync.h"

#include <chrono>
#include <system_error>

#include "telling.h"

namespace runwire {

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kSlice{50};

const char kNewWriter[] = "runwire_sync(as_new_writer = TRUE), or `runwire sync --as-new-writer`, delivers what is left";

double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Waits until all is delivered, or nothing is any more; returns why it is not.
std::string wait(Guard& guard, const Delivery& delivery, const Lane& lane, const DeliveryOptions& options,
                 double timeout, const Interrupted& interrupted) {
  auto moved = Clock::now();
  int64_t acked = -1;
  for (;;) {
    {
      std::unique_lock<std::mutex> lock(guard.mutex);
      if (lane.writer.pending() == 0) return "";
      if (lane.over) return lane.over->message + " (" + lane.over->reason + "); " + kNewWriter;
      if (delivery.refused) return delivery.away->message;
      if (lane.writer.acked().sequence != acked) {
        acked = lane.writer.acked().sequence;
        moved = Clock::now();
      }
      bool away = delivery.away && is_away(*delivery.away) && !delivery.reached;
      if (since(moved) > (away ? options.retry.connect_timeout : timeout)) {
        return options.address + ": " + (delivery.away ? delivery.away->message : "the server acknowledges nothing");
      }
      guard.changed.wait_for(lock, kSlice);
    }
    if (interrupted()) throw Interruption();
  }
}

}  // namespace

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
    found.problem = aside->message + " (" + aside->reason + "); " + kNewWriter;
  } else if (spool->stray() > 0) {
    auto stray = static_cast<uint64_t>(spool->stray());
    found.problem = counted(stray, "frame") + (stray == 1 ? " stands" : " stand") + " behind a damaged place; " + kNewWriter;
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
