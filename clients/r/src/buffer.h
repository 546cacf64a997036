// Where R's thread leaves what the user logs, until the folding thread takes it. A call that logs a point checks it,
// so that what is wrong raises at the line that is wrong, and appends 32 bytes.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "channel.h"
#include "folding.h"
#include "problem.h"

namespace runwire {

struct Lane;

// A place in what was logged, for who waits until all before it is delivered. Guarded like lanes.
struct Mark {
  // The writer that took over what stood before the mark.
  std::shared_ptr<Lane> lane;
  // The writer's frame that holds the last of it.
  int64_t sequence = 0;
  bool folded = false;
};

struct Item {
  enum Kind : uint32_t { kRow, kRecord, kMark };
  Kind kind;
  // Of a row the run; of others their place in the batch's list.
  uint32_t place;
  // Of a row: the set of keys, where its values start, its step and time.
  uint32_t set;
  uint64_t values;
  int64_t step, time;
};

// What was logged since the last time.
struct Batch {
  std::vector<Item> items;
  std::vector<double> values;
  std::vector<Record> records;
  std::vector<std::shared_ptr<Mark>> marks;
  uint64_t bytes = 0;
};

// Runs, keys and sets of keys by number: numbers instead of texts are what a point keeps. Numbers are never used
// again, so a copy that is brought up to date serves the folding thread without a lock.
struct Names : Columns::Names {
  std::vector<std::string> runs;
  std::vector<Keys> sets;
  std::vector<std::vector<uint32_t>> members;

  const Keys& keys_of(uint32_t set) const override { return sets[set]; }
  const std::vector<uint32_t>& members_of(uint32_t set) const override { return members[set]; }
};

class Buffer {
 public:
  // The number of a run; throws a Problem for an id that is none.
  uint32_t run(const std::string& run_id);
  // The number of a set of keys; throws a Problem for a key that breaks a rule.
  uint32_t set(const char* key);
  uint32_t set(const Keys& keys);

  // These wait where there is no room; throw Interruption when the user stops that, and a Problem that was refused
  // with.
  void row(uint32_t run, uint32_t set, const double* values, size_t width, int64_t step, int64_t time,
           const Interrupted& interrupted);
  void record(Record record, const Interrupted& interrupted);

  // The same from any thread, at once.
  void force(Record record);

  // Marks the place that has been reached, and has all before it go on its way at once.
  std::shared_ptr<Mark> mark();

  // Has all further calls raise an error, until there is none.
  void refuse(std::optional<Problem> why);

  // For the folding thread. Sleeps until there is something, and a little longer, so that it comes in heaps; takes it
  // all, with the names it needs, and says that it is busy before the buffer looks empty. False if there is nothing
  // within about a second.
  bool take(Batch* batch, Names* names, std::atomic<bool>* busy);
  // What was taken is in frames.
  void release(const Batch& batch);
  void hurry();
  bool is_empty() const;

 private:
  void make_room(std::unique_lock<std::mutex>& lock, const Interrupted& interrupted);
  void add(Record record);
  uint32_t add_set(const std::string& name, const Keys& keys);
  uint32_t key_number(const std::string& key);
  void wake();

  mutable std::mutex mutex_;
  std::condition_variable wake_, room_;
  Batch batch_;
  // Bytes that wait here or are being folded.
  uint64_t bytes_ = 0;
  bool asleep_ = false;
  bool hurry_ = false;
  std::optional<Problem> refusal_;
  Names names_;
  std::unordered_map<std::string, uint32_t> runs_, keys_, single_, sets_;
};

}  // namespace runwire
