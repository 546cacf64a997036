// What frames are made of: blocks, records, groups; and the chain of CRCs that holds frames together.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace runwire {

// From this many keys on a block may name its keys by a group.
constexpr size_t kGroupKeys = 9;
// A payload may have 2 MiB; a record keeps well below, so that it fits with its begin record.
constexpr size_t kMostRecordBytes = 1800000;

// A place in a writer's history: a frame's sequence, and the chained CRC of all frames up to it.
struct Place {
  int64_t sequence = 0;
  uint32_t crc = 0;
  bool operator==(const Place& other) const { return sequence == other.sequence && crc == other.crc; }
};

// The chained CRC of a frame that follows on another.
uint32_t chained(uint32_t previous_crc, std::string_view payload);

// The declaration of a set of keys.
struct Group {
  std::string hash;
  // A serialised `Group`.
  std::string data;
};

using GroupRef = std::shared_ptr<const Group>;

// Keys as one text that no others have: each ends with a NUL.
std::string joined(const std::vector<std::string>& keys);

GroupRef make_group(const std::vector<std::string>& keys);

// A record that is ready. One without data only says that a run is to begin.
struct Record {
  std::string run_id;
  // A serialised `Record`.
  std::string data;
  // What has to be declared before it.
  std::vector<GroupRef> groups;
  bool ends = false;
};

// Steps of a block: regular ones, the usual case, as a first one and a stride, others as they are.
std::string encode_axis(const int64_t* steps, size_t count);
std::string encode_regular_axis(int64_t first, int64_t stride);
// How a block names its keys.
std::string encode_names(const std::vector<std::string>& keys);
std::string encode_group_name(const std::string& hash);
// A serialised `Block` of parts that the functions above made.
std::string encode_block(const std::string& names, const std::string& axis, const int64_t* times, size_t rows,
                         const double* values, size_t cells);
// The serialised `Record` that adds blocks to a run.
std::string encode_batch(const std::string& run_id, const std::vector<std::string>& blocks);
// The same with params and tags.
std::string encode_batch(const std::string& run_id, const std::vector<std::string>& blocks,
                         const std::vector<std::pair<std::string, std::string>>& params,
                         const std::vector<std::pair<std::string, std::string>>& tags);

// The serialised `Record` that ends a run as KILLED, at a time in unix ms.
std::string encode_killed(const std::string& run_id, int64_t time);

// The serialised requests that say that runs are alive: as many as it takes, for one takes a thousand runs.
std::vector<std::string> heartbeats(const std::vector<std::string>& run_ids);

// Records of one run that the server did not apply.
struct Rejection {
  // In one place, and not compiled once more by each source that has one.
  Rejection();
  Rejection(const Rejection& other);
  Rejection(Rejection&& other) noexcept;
  Rejection& operator=(const Rejection& other);
  Rejection& operator=(Rejection&& other) noexcept;
  ~Rejection();

  std::string run_id, reason, message;
  int64_t first_sequence = 0, last_sequence = 0, records = 0, points = 0;
  std::vector<std::pair<std::string, std::string>> metadata;
  // The message as it came, to be noted.
  std::string data;
};

// What was rejected, in a sentence.
std::string told(const Rejection& rejection);

struct Welcome {
  Place committed;
  int64_t window_bytes = 0;
  std::vector<Rejection> rejections;
};

struct Ack {
  Place place;
  std::vector<Rejection> rejections;
};

Rejection read_rejection(std::string_view data);

// One message of the server's on a stream: exactly one of the two.
struct StreamAnswer {
  std::unique_ptr<Welcome> welcome;
  std::unique_ptr<Ack> ack;
};

StreamAnswer read_answer(std::string_view data);

// Messages of the client's on a stream.
std::string say_hello(const std::string& writer_id, const Place& acked);
std::string say_frame(int64_t sequence, uint32_t previous_crc, const std::string& payload);
std::string say_declare(const Group& group);
std::string say_confirmed(int64_t sequence);

}  // namespace runwire
