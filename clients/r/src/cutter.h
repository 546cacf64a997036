// From the buffer to frames: points become records, records are gathered into payloads of a good size.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "buffer.h"

namespace runwire {

constexpr size_t kFrameBytes = 64 * 1024;
// When the server is behind, larger frames are cheaper for both sides.
constexpr size_t kLargeFrameBytes = 1024 * 1024;
// A begin record is repeated, and shares its frame with another record.
constexpr size_t kMostBeginBytes = 64 * 1024;

// How a run begins, to be said again wherever a new segment of the spool names it.
struct Begin {
  // A serialised `Record`.
  std::string data;
  // Empty if there is none.
  std::string parent;
};

// How the runs that were begun here began; shared by the threads that log and cut.
class Begins {
 public:
  void put(const std::string& run_id, Begin begin);
  std::optional<Begin> get(const std::string& run_id) const;
  void erase(const std::string& run_id);

 private:
  mutable std::mutex guard_;
  std::map<std::string, Begin> begins_;
};

// Where frames go.
class FrameSink {
 public:
  virtual ~FrameSink() = default;
  struct Opened {
    std::shared_ptr<Lane> lane;
    // Changes with the segment of its spool.
    int64_t segment;
  };
  // Finds the writer that takes the next frame; waits until its spool has room for it.
  virtual Opened open_lane(size_t size) = 0;
  // How large the next frame should be.
  virtual size_t target(const Lane& lane) = 0;
  // Cuts a frame; returns whether the writer still takes any.
  virtual bool write(Lane& lane, const std::string& payload, const std::vector<GroupRef>& groups) = 0;
};

class Cutter {
 public:
  Cutter(FrameSink& sink, Begins& begins) : sink_(sink), begins_(begins) {}

  // Adds a record to the frame in the making, and cuts that when it is large enough.
  void add(Record record);
  // Cuts the frame in the making, if there is anything in it.
  void cut();

 private:
  void open(size_t size);
  void begin(const std::string& run_id);

  FrameSink& sink_;
  Begins& begins_;
  std::shared_ptr<Lane> lane_;
  int64_t segment_ = -1;
  std::set<std::string> begun_;
  std::vector<Record> given_;
  std::string payload_;
  std::map<std::string, GroupRef> groups_;
  size_t target_ = 0;
};

// One pass over what was logged. Points of a run may move before and behind those of other keys, never across another
// record of their run.
class Fold {
 public:
  Fold(Batch& batch, const Names& names, Groups& groups, Cutter& cutter)
      : batch_(batch), names_(names), groups_(groups), cutter_(cutter) {}

  void row(const Item& item);
  // Hands a record on, behind the points of its run that came before it.
  void record(Record& record);
  // Hands on all points, and cuts the frame in the making.
  void finish();

 private:
  Columns& columns_of(uint32_t run);
  void emit(std::vector<Record> records);

  Batch& batch_;
  const Names& names_;
  Groups& groups_;
  Cutter& cutter_;
  std::unordered_map<uint32_t, std::unique_ptr<Columns>> runs_;
  std::vector<uint32_t> order_;
  std::unordered_map<std::string, uint32_t> numbers_;
  uint32_t last_ = UINT32_MAX;
  Columns* columns_ = nullptr;
};

}  // namespace runwire
