// The bytes of a spool. A segment starts with the 8 bytes `RWSPOOL1`; entries follow, without gaps. All numbers
// are little-endian:
//
//     entry      u32 size of the body, u32 CRC-32 (of zlib) of kind and body, u8 kind, body
//     kind 1     head, the first entry: 16 bytes writer id, u64 sequence of the segment's first frame,
//                u32 chained CRC of the frame before it, u16 size of an address, the address in UTF-8
//     kind 2     group: a serialised `Group`. Groups that frames of the segment name stand before them
//     kind 3     frame: u64 sequence, u32 chained CRC of the frame before it, the payload
//     kind 4     rejection: a serialised `Rejection` (in the file `rejections` only, which has no head)
//
// An entry that is cut short, or whose CRC is wrong, ends the segment: a process or a machine stopped while it was
// written. All functions that touch files throw std::system_error when the disk fails.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "files.h"
#include "frames.h"

namespace runwire {

constexpr char kMagic[] = "RWSPOOL1";
constexpr size_t kMagicBytes = 8;
// What the names of segments end with.
constexpr char kSegment[] = ".segment";
enum class Kind : uint8_t { kHead = 1, kGroup = 2, kFrame = 3, kRejection = 4 };

struct Head {
  // 32 hex digits.
  std::string writer_id;
  int64_t first = 1;
  uint32_t previous_crc = 0;
  std::string address;
};

std::string entry(Kind kind, const std::string& body);
std::string head_entry(const Head& head);
std::string frame_entry(int64_t sequence, uint32_t previous_crc, const std::string& payload);

struct Entry {
  Kind kind;
  std::string body;
  // Where the next one starts.
  uint64_t end;
};

// Reads the entry that starts at a place and ends before `end`; false where none is whole.
bool read_entry(const File& file, uint64_t at, uint64_t end, Entry* found);

struct Segment {
  std::string path;
  // The place in front of its first frame.
  Place before;
  // Sequence of its last frame; that of `before` if it has none.
  int64_t last = 0;
  // Bytes of its whole entries.
  uint64_t size = 0;
  // How many of these were synced to the disk.
  uint64_t synced = 0;

  bool is_filled() const { return last > before.sequence; }
  // Has it on the disk.
  void sync();
};

// A frame as it lies in a spool, with the groups that have to be declared before it.
struct Stored {
  int64_t sequence = 0;
  uint32_t previous_crc = 0;
  std::string payload;
  std::vector<GroupRef> groups;
};

Stored read_frame(const std::string& body);

// A segment read from its start to its end, or to where it is torn.
struct Scan {
  explicit Scan(const std::string& path);

  bool has_head = false;
  Head head;
  Segment segment;
  // The place of its last whole frame.
  Place end;
  uint64_t torn = 0;

 private:
  bool take(const Entry& one);
};

// Reads the frames of one segment in their order, also while more are written behind them.
class SegmentCursor {
 public:
  explicit SegmentCursor(const Segment& segment);

  const std::string& path() const { return path_; }
  int64_t next() const { return next_; }
  // Reads on to a frame; false if the first `size` bytes of the segment have none such.
  bool read(int64_t sequence, uint64_t size, Stored* found);

 private:
  std::string path_;
  File file_;
  uint64_t at_ = kMagicBytes;
  int64_t next_;
  std::vector<GroupRef> groups_;
};

// The chained CRC of a frame of a segment; false if it has no such frame.
bool crc_in(const Segment& segment, int64_t sequence, uint32_t* crc);

// Whether a folder has the name of a spool: 32 hex digits.
bool is_spool_name(const std::string& name);

// The segments of a spool, the oldest first.
std::vector<std::string> segments_in(const std::string& folder);

}  // namespace runwire
