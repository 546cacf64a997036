#include "buffer.h"

#include <chrono>

#include "rules.h"

namespace runwire {

namespace {

constexpr uint64_t kMostBytes = 32 * 1024 * 1024;
constexpr size_t kMostRowKeys = 200000;
constexpr std::chrono::milliseconds kLinger{50};
constexpr std::chrono::milliseconds kSlice{50};
constexpr std::chrono::seconds kPulse{1};

template <typename T>
void copy_new(const std::vector<T>& from, std::vector<T>* to) {
  to->insert(to->end(), from.begin() + static_cast<std::ptrdiff_t>(to->size()), from.end());
}

}  // namespace

uint32_t Buffer::run(const std::string& run_id) {
  auto found = runs_.find(run_id);
  if (found != runs_.end()) return found->second;
  rules::run_id(run_id);
  std::lock_guard<std::mutex> lock(mutex_);
  auto number = static_cast<uint32_t>(names_.runs.size());
  names_.runs.push_back(run_id);
  return runs_[run_id] = number;
}

uint32_t Buffer::key_number(const std::string& key) {
  auto found = keys_.find(key);
  if (found != keys_.end()) return found->second;
  auto number = static_cast<uint32_t>(keys_.size());
  return keys_[key] = number;
}

uint32_t Buffer::add_set(const std::string& name, const Keys& keys) {
  for (const auto& key : keys) {
    if (keys_.count(key) == 0) rules::metric_key(key, "blocks[0].keys[0]");
  }
  std::lock_guard<std::mutex> lock(mutex_);
  std::vector<uint32_t> members;
  for (const auto& key : keys) members.push_back(key_number(key));
  auto number = static_cast<uint32_t>(names_.sets.size());
  names_.sets.push_back(keys);
  names_.members.push_back(members);
  return (keys.size() == 1 ? single_ : sets_)[name] = number;
}

uint32_t Buffer::set(const char* key) {
  std::string name(key);
  auto found = single_.find(name);
  return found != single_.end() ? found->second : add_set(name, {name});
}

uint32_t Buffer::set(const Keys& keys) {
  if (keys.size() == 1) return set(keys[0].c_str());
  if (keys.size() > kMostRowKeys) {
    throw Problem("value", "runwire_log_metrics takes at most " + std::to_string(kMostRowKeys) + " metrics, and got " +
                               std::to_string(keys.size()));
  }
  std::string name = joined(keys);
  auto found = sets_.find(name);
  if (found != sets_.end()) return found->second;
  std::unordered_set<std::string> seen;
  for (const auto& key : keys) {
    if (!seen.insert(key).second) throw Problem("value", "the metric '" + key + "' is there twice");
  }
  return add_set(name, keys);
}

// Waits for room; the lock is held, but not while R looks for an interrupt.
void Buffer::make_room(std::unique_lock<std::mutex>& lock, const Interrupted& interrupted) {
  for (;;) {
    if (refusal_) throw *refusal_;
    if (bytes_ < kMostBytes) return;
    hurry_ = true;
    wake_.notify_one();
    room_.wait_for(lock, kSlice);
    lock.unlock();
    bool stop = interrupted();
    lock.lock();
    if (stop) throw Interruption();
  }
}

void Buffer::wake() {
  if (asleep_) {
    asleep_ = false;
    wake_.notify_one();
  }
}

void Buffer::row(uint32_t run, uint32_t set, const double* values, size_t width, int64_t step, int64_t time,
                 const Interrupted& interrupted) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (bytes_ >= kMostBytes || refusal_) make_room(lock, interrupted);
  batch_.items.push_back(Item{Item::kRow, run, set, batch_.values.size(), step, time});
  batch_.values.insert(batch_.values.end(), values, values + width);
  uint64_t bytes = sizeof(Item) + 8 * width;
  bytes_ += bytes;
  batch_.bytes += bytes;
  wake();
}

void Buffer::record(Record record, const Interrupted& interrupted) {
  run(record.run_id);
  std::unique_lock<std::mutex> lock(mutex_);
  make_room(lock, interrupted);
  add(std::move(record));
}

void Buffer::force(Record record) {
  std::lock_guard<std::mutex> lock(mutex_);
  add(std::move(record));
}

// The lock is held.
void Buffer::add(Record record) {
  uint64_t bytes = sizeof(Item) + record.data.size();
  batch_.items.push_back(
      Item{Item::kRecord, static_cast<uint32_t>(batch_.records.size()), 0, 0, 0, 0});
  batch_.records.push_back(std::move(record));
  bytes_ += bytes;
  batch_.bytes += bytes;
  wake();
}

std::shared_ptr<Mark> Buffer::mark() {
  std::lock_guard<std::mutex> lock(mutex_);
  auto made = std::make_shared<Mark>();
  batch_.items.push_back(Item{Item::kMark, static_cast<uint32_t>(batch_.marks.size()), 0, 0, 0, 0});
  batch_.marks.push_back(made);
  hurry_ = true;
  asleep_ = false;
  wake_.notify_one();
  return made;
}

void Buffer::refuse(std::optional<Problem> why) {
  std::lock_guard<std::mutex> lock(mutex_);
  refusal_ = std::move(why);
  room_.notify_all();
}

bool Buffer::take(Batch* batch, Names* names, std::atomic<bool>* busy) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (batch_.items.empty()) {
    asleep_ = true;
    wake_.wait_for(lock, kPulse, [&] { return !asleep_ || hurry_; });
    asleep_ = false;
  }
  if (!batch_.items.empty() && !hurry_) wake_.wait_for(lock, kLinger, [&] { return hurry_; });
  hurry_ = false;
  if (batch_.items.empty()) return false;
  *busy = true;
  *batch = Batch();
  std::swap(*batch, batch_);
  copy_new(names_.runs, &names->runs);
  copy_new(names_.sets, &names->sets);
  copy_new(names_.members, &names->members);
  return true;
}

void Buffer::release(const Batch& batch) {
  std::lock_guard<std::mutex> lock(mutex_);
  bytes_ -= batch.bytes;
  room_.notify_all();
}

void Buffer::hurry() {
  std::lock_guard<std::mutex> lock(mutex_);
  hurry_ = true;
  wake_.notify_one();
}

bool Buffer::is_empty() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return batch_.items.empty();
}

}  // namespace runwire
