#include "pipeline.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "clock.h"
#include "ids.h"
#include "leftovers.h"
#include "signals.h"
#include "telling.h"

namespace runwire {

namespace {

constexpr std::chrono::seconds kHeartbeat{30};
constexpr std::chrono::seconds kPulse{1};
constexpr std::chrono::milliseconds kSlice{50};
constexpr double kProgress = 2;
constexpr int64_t kBacklogFrames = 8;
constexpr size_t kShown = 5;

}  // namespace

Pipeline::Pipeline(PipelineOptions options) : options_(std::move(options)), cutter_(*this, begins_) {}

Pipeline::~Pipeline() { end(); }

void Pipeline::start() {
  if (started_ || ended_) return;
  started_ = true;
  SignalsBlocked blocked;
  if (!options_.offline) {
    delivery_ = std::make_unique<Delivery>(options_.delivery, guard_);
    delivery_->start();
  }
  thread_ = std::thread([this] { run(); });
  at_termination(this);
}

void Pipeline::run() {
  Batch batch;
  while (!closing_) {
    if (buffer_.take(&batch, &names_, &busy_)) {
      try {
        fold(batch);
      } catch (const Closing&) {
        return;
      } catch (const std::exception& error) {
        return break_off(error.what());
      } catch (...) {
        return break_off("nothing is known of why");
      }
      buffer_.release(batch);
      tell_leftovers();
    }
    busy_ = false;
    pulse();
  }
}

// Ends the folding for good, and lets nobody believe that it goes on.
void Pipeline::break_off(const std::string& why) {
  std::lock_guard<std::mutex> lock(guard_.mutex);
  broken_ = "the client failed, and takes nothing more: " + why;
  if (!closing_) buffer_.refuse(Problem("INTERNAL", broken_));
  guard_.changed.notify_all();
}

// Tells once of what earlier processes left.
void Pipeline::tell_leftovers() {
  if (offered_ || options_.offline) return;
  offered_ = true;
  try {
    std::string found = offer(options_.root);
    if (!found.empty()) say(found);
  } catch (const std::exception&) {
    // A folder that can not be read now is for the next process.
  }
}

void Pipeline::fold(Batch& batch) {
  Fold fold(batch, names_, groups_, cutter_);
  for (const Item& item : batch.items) {
    if (item.kind == Item::kRow) {
      fold.row(item);
    } else if (item.kind == Item::kRecord) {
      fold.record(batch.records[item.place]);
    } else {
      fold.finish();
      // Who hears that it is reached finds nothing left.
      if (&item == &batch.items.back()) busy_ = false;
      std::lock_guard<std::mutex> lock(guard_.mutex);
      Mark& mark = *batch.marks[item.place];
      mark.lane = lane_;
      mark.sequence = lane_ ? lane_->writer.cut().sequence : 0;
      mark.folded = true;
      guard_.changed.notify_all();
    }
  }
  fold.finish();
}

void Pipeline::pulse() {
  if (!delivery_) return;
  std::vector<std::string> beating;
  {
    std::lock_guard<std::mutex> lock(guard_.mutex);
    if (beating_.empty() || Clock::now() - beat_ < kHeartbeat) return;
    beat_ = Clock::now();
    beating.assign(beating_.begin(), beating_.end());
  }
  delivery_->heartbeat(beating);
}

void Pipeline::keep_alive(const std::string& run_id) {
  {
    std::lock_guard<std::mutex> lock(guard_.mutex);
    beating_.insert(run_id);
  }
  if (!options_.offline) start();
}

void Pipeline::stop_alive(const std::string& run_id) {
  std::lock_guard<std::mutex> lock(guard_.mutex);
  beating_.erase(run_id);
  open_.erase(std::remove(open_.begin(), open_.end(), run_id), open_.end());
}

void Pipeline::end_at_termination(const std::string& run_id) {
  std::lock_guard<std::mutex> lock(guard_.mutex);
  open_.push_back(run_id);
}

void Pipeline::end_runs() {
  std::vector<std::string> open;
  {
    std::lock_guard<std::mutex> lock(guard_.mutex);
    open.swap(open_);
  }
  auto time = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch());
  for (auto run = open.rbegin(); run != open.rend(); ++run) {
    Record record;
    record.run_id = *run;
    record.data = encode_killed(*run, time.count());
    record.ends = true;
    buffer_.force(std::move(record));
  }
  // To the spool at least, while others are waited for.
  buffer_.hurry();
}

void Pipeline::terminate(double patience) {
  Failure failure = deliver(patience, [] { return false; });
  if (failure.ok()) failure = lost();
  if (!failure.ok()) say(failure.message);
  // Nothing follows but the end of the process.
  std::lock_guard<std::mutex> lock(guard_.mutex);
  if (lane_) close_spool();
}

FrameSink::Opened Pipeline::open_lane(size_t size) {
  for (;;) {
    {
      std::unique_lock<std::mutex> lock(guard_.mutex);
      try {
        if (!lane_ || lane_->over) new_lane();
        if (auto segment = lane_->spool->prepare(size)) {
          unstick();
          return Opened{lane_, *segment};
        }
        stick(full_text());
      } catch (const std::system_error& error) {
        stick(concat({"the spool in ", options_.root, " can not be written: ", error.what()}));
      }
      guard_.changed.wait_for(lock, kPulse);
    }
    pulse();
    if (closing_) throw Closing();
  }
}

std::string Pipeline::full_text() const {
  return concat({"the spool ", where(), " is full: it holds ", std::to_string(options_.spool_bytes),
                 " bytes that are not delivered"});
}

void Pipeline::stick(const std::string& why) {
  if (stuck_.empty()) say(why);
  stuck_ = why;
  tried_ = true;
  if (!options_.block || options_.offline) buffer_.refuse(Problem("RESOURCE_EXHAUSTED", why));
}

void Pipeline::unstick() {
  if (stuck_.empty() || closing_) return;
  stuck_.clear();
  buffer_.refuse(std::nullopt);
}

void Pipeline::new_lane() {
  lane_.reset();
  lane_ = std::make_shared<Lane>(Spool::create(options_.root, new_id(), options_.address, options_.spool_bytes));
  if (delivery_) delivery_->carry(lane_);
}

size_t Pipeline::target(const Lane& lane) {
  std::lock_guard<std::mutex> lock(guard_.mutex);
  bool behind = lane.writer.cut().sequence - lane.writer.sent() > kBacklogFrames;
  return behind ? kLargeFrameBytes : kFrameBytes;
}

bool Pipeline::write(Lane& lane, const std::string& payload, const std::vector<GroupRef>& groups) {
  for (;;) {
    {
      std::unique_lock<std::mutex> lock(guard_.mutex);
      if (lane.over) return false;
      Place before = lane.writer.cut();
      try {
        Place made = lane.writer.cut_frame(payload);
        lane.spool->append(made.sequence, before.crc, made.crc, payload, groups);
        unstick();
        if (delivery_) delivery_->poke();
        return true;
      } catch (const std::system_error& error) {
        lane.writer.uncut(before);
        if (lane.spool->reclaim()) return false;
        stick(concat({"the spool ", lane.spool->folder(), " can not be written: ", error.what()}));
        guard_.changed.wait_for(lock, kPulse);
      }
    }
    pulse();
    if (closing_) throw Closing();
  }
}

bool Pipeline::is_dirty() {
  // Looked at in the order in which it moves on.
  if (!started_) return false;
  if (!buffer_.is_empty() || busy_) return true;
  std::lock_guard<std::mutex> lock(guard_.mutex);
  return lane_ && (options_.offline || (!lane_->over && lane_->writer.pending() > 0));
}

Failure Pipeline::deliver(double timeout, const Interrupted& interrupted, bool tell) {
  if (!is_dirty()) return Failure();
  auto start = Clock::now();
  double next_word = kProgress;
  std::shared_ptr<Mark> mark = buffer_.mark();
  {
    // What a spool was stuck of may be over.
    std::lock_guard<std::mutex> lock(guard_.mutex);
    tried_ = false;
    guard_.changed.notify_all();
  }
  for (;;) {
    {
      std::unique_lock<std::mutex> lock(guard_.mutex);
      try {
        if (is_done(*mark)) return Failure();
      } catch (const std::system_error& error) {
        Failure found;
        found.code = "UNAVAILABLE";
        found.message = concat({"the spool can not be written: ", error.what()});
        return found;
      }
      double waited = since(start);
      if (!broken_.empty()) return broken();
      // Nobody but a person makes room here.
      if (options_.offline && !stuck_.empty() && tried_) return stuck(left());
      if (waited >= timeout || is_hopeless(start)) {
        if (!delivery_) return unwritten(left(), waited);
        return undelivered(left(), options_.delivery.address, waited, delivery_->away);
      }
      if (tell && delivery_ && waited >= next_word) {
        next_word = waited + kProgress;
        say_progress(timeout - waited);
      }
      guard_.changed.wait_for(lock, kSlice);
    }
    if (interrupted()) throw Interruption();
  }
}

bool Pipeline::is_done(const Mark& mark) {
  if (!mark.folded) return false;
  if (!mark.lane || mark.lane->over || mark.lane->writer.acked().sequence >= mark.sequence) return true;
  if (!options_.offline) return false;
  mark.lane->spool->sync();
  return true;
}

// Whether there is no hope for the server.
bool Pipeline::is_hopeless(Clock::time_point start) {
  if (!delivery_) return false;
  return delivery_->refused || (!reached_ && delivery_->is_hopeless(start));
}

std::string Pipeline::where() const { return lane_ ? lane_->spool->folder() : options_.root; }

Left Pipeline::left() const { return Left{lane_ ? lane_->writer.pending() : 0, where(), stuck_}; }

Failure Pipeline::broken() const {
  Failure found;
  found.code = "INTERNAL";
  found.message = broken_;
  return found;
}

void Pipeline::say_progress(double left) {
  double size = lane_ ? static_cast<double>(lane_->spool->size()) / 1e6 : 0;
  say(concat({"delivering ", with_decimals(size), " MB to ", options_.delivery.address, "; giving up in ",
              std::to_string(static_cast<int64_t>(left)), " s"}));
}

Failure Pipeline::lost() {
  if (!delivery_) return Failure();
  std::lock_guard<std::mutex> lock(guard_.mutex);
  std::vector<Rejection> rejections;
  rejections.swap(delivery_->rejections);
  std::vector<std::shared_ptr<Lane>> ended;
  ended.swap(delivery_->ended);
  if (!rejections.empty() && lane_) lane_->spool->told();
  std::vector<std::string> sentences;
  for (const auto& lane : ended) sentences.push_back(told(*lane));
  for (const auto& one : rejections) sentences.push_back(told(one));
  std::string message;
  for (size_t i = 0; i < std::min(sentences.size(), kShown); i++) message += concat({i > 0 ? "; " : "", sentences[i]});
  if (sentences.size() > kShown) message += concat({"; and ", std::to_string(sentences.size() - kShown), " more"});
  Failure found;
  if (!ended.empty()) {
    found = *ended[0]->over;
    found.code = "FAILED_PRECONDITION";
    found.message = message;
    found.metadata.emplace_back("spool", ended[0]->spool->folder());
  } else if (!rejections.empty()) {
    found = rejected(rejections[0], message);
  }
  for (const auto& lane : ended) {
    if (lane != lane_) lane->spool->close();
  }
  return found;
}

void Pipeline::end() {
  if (ended_) return;
  ended_ = true;
  if (started_) not_at_termination(this);
  closing_ = true;
  buffer_.refuse(Problem("state", "the client is closed"));
  buffer_.hurry();
  {
    std::lock_guard<std::mutex> lock(guard_.mutex);
    guard_.changed.notify_all();
  }
  if (delivery_) delivery_->stop();
  if (thread_.joinable()) thread_.join();
  if (lane_) close_spool();
}

void Pipeline::close_spool() {
  try {
    lane_->spool->close();
  } catch (const std::system_error& error) {
    say(concat({"the spool ", lane_->spool->folder(), " can not be closed: ", error.what()}));
  }
}

}  // namespace runwire
