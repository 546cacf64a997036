#include "segments.h"

#include <fcntl.h>
#include <zlib.h>

#include "ids.h"
#include "wire.h"

namespace runwire {

namespace {

constexpr size_t kEntryBytes = 9;
constexpr size_t kHeadBytes = 16 + 8 + 4 + 2;
constexpr size_t kFrameBytes = 8 + 4;
// No entry is larger; a size beyond it is garbage, and not worth the memory of reading on.
constexpr uint32_t kMostBytes = 64 * 1024 * 1024;

uint32_t entry_crc(Kind kind, const std::string& body) {
  Bytef mark = static_cast<Bytef>(kind);
  uLong crc = crc32(0, &mark, 1);
  return static_cast<uint32_t>(
      crc32(crc, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size())));
}

bool is_hex(const std::string& text, size_t size) {
  return text.size() == size && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

bool is_segment_name(const std::string& name) {
  return name.size() > 16 && is_hex(name.substr(0, 16), 16) && name.substr(16) == kSegment;
}

GroupRef read_group(const std::string& body) {
  auto made = std::make_shared<Group>();
  made->data = body;
  WireReader reader(body);
  while (reader.next()) {
    if (reader.field == 1) made->hash = reader.text();
  }
  return made;
}

}  // namespace

std::string entry(Kind kind, const std::string& body) {
  std::string found;
  found.reserve(kEntryBytes + body.size());
  append_number<uint32_t>(found, static_cast<uint32_t>(body.size()));
  append_number<uint32_t>(found, entry_crc(kind, body));
  found.push_back(static_cast<char>(kind));
  found += body;
  return found;
}

std::string head_entry(const Head& head) {
  std::string body = from_hex(head.writer_id);
  append_number<uint64_t>(body, static_cast<uint64_t>(head.first));
  append_number<uint32_t>(body, head.previous_crc);
  append_number<uint16_t>(body, static_cast<uint16_t>(head.address.size()));
  body += head.address;
  return std::string(kMagic, kMagicBytes) + entry(Kind::kHead, body);
}

std::string frame_entry(int64_t sequence, uint32_t previous_crc, const std::string& payload) {
  std::string body;
  body.reserve(kFrameBytes + payload.size());
  append_number<uint64_t>(body, static_cast<uint64_t>(sequence));
  append_number<uint32_t>(body, previous_crc);
  body += payload;
  return entry(Kind::kFrame, body);
}

bool read_entry(const File& file, uint64_t at, uint64_t end, Entry* found) {
  if (at + kEntryBytes > end) return false;
  std::string fixed = file.read(at, kEntryBytes);
  if (fixed.size() < kEntryBytes) return false;
  auto size = read_number<uint32_t>(fixed.data());
  auto crc = read_number<uint32_t>(fixed.data() + 4);
  if (size > kMostBytes || at + kEntryBytes + size > end) return false;
  found->kind = static_cast<Kind>(fixed[8]);
  found->body = file.read(at + kEntryBytes, size);
  found->end = at + kEntryBytes + size;
  return found->body.size() == size && entry_crc(found->kind, found->body) == crc;
}

Stored read_frame(const std::string& body) {
  Stored found;
  if (body.size() < kFrameBytes) return found;
  found.sequence = read_number<int64_t>(body.data());
  found.previous_crc = read_number<uint32_t>(body.data() + 8);
  found.payload = body.substr(kFrameBytes);
  return found;
}

Scan::Scan(const std::string& path) {
  File file = File::open(path, O_RDONLY);
  uint64_t size = file.size();
  uint64_t whole = 0;
  if (file.read(0, kMagicBytes) == std::string(kMagic, kMagicBytes)) {
    uint64_t at = kMagicBytes;
    Entry one;
    while (read_entry(file, at, size, &one) && take(one)) at = whole = one.end;
  }
  segment.path = path;
  if (has_head) segment.before = Place{head.first - 1, head.previous_crc};
  segment.last = end.sequence;
  segment.size = whole;
  torn = size - whole;
}

bool Scan::take(const Entry& one) {
  if (!has_head) {
    if (one.kind != Kind::kHead || one.body.size() < kHeadBytes) return false;
    const char* data = one.body.data();
    head.writer_id = to_hex(one.body.substr(0, 16));
    head.first = read_number<int64_t>(data + 16);
    head.previous_crc = read_number<uint32_t>(data + 24);
    head.address = one.body.substr(kHeadBytes, read_number<uint16_t>(data + 28));
    end = Place{head.first - 1, head.previous_crc};
    return has_head = true;
  }
  if (one.kind != Kind::kFrame) return true;
  Stored frame = read_frame(one.body);
  if (frame.sequence != end.sequence + 1 || frame.previous_crc != end.crc) return false;
  end = Place{frame.sequence, chained(frame.previous_crc, frame.payload)};
  return true;
}

void Segment::sync() {
  if (synced >= size) return;
  File::open(path, O_RDONLY).sync();
  synced = size;
}

SegmentCursor::SegmentCursor(const Segment& segment)
    : path_(segment.path), file_(File::open(segment.path, O_RDONLY)), next_(segment.before.sequence + 1) {}

bool SegmentCursor::read(int64_t sequence, uint64_t size, Stored* found) {
  Entry one;
  while (read_entry(file_, at_, size, &one)) {
    at_ = one.end;
    if (one.kind == Kind::kGroup) groups_.push_back(read_group(one.body));
    if (one.kind != Kind::kFrame) continue;
    *found = read_frame(one.body);
    next_ = found->sequence + 1;
    if (found->sequence == sequence) {
      found->groups = groups_;
      return true;
    }
  }
  return false;
}

bool crc_in(const Segment& segment, int64_t sequence, uint32_t* crc) {
  File file = File::open(segment.path, O_RDONLY);
  uint64_t at = kMagicBytes;
  Entry one;
  while (read_entry(file, at, segment.size, &one)) {
    at = one.end;
    if (one.kind != Kind::kFrame) continue;
    Stored frame = read_frame(one.body);
    if (frame.sequence == sequence) {
      *crc = chained(frame.previous_crc, frame.payload);
      return true;
    }
  }
  return false;
}

bool is_spool_name(const std::string& name) { return is_hex(name, 32); }

std::vector<std::string> segments_in(const std::string& folder) {
  std::vector<std::string> found;
  for (const auto& name : names_in(folder)) {
    if (is_segment_name(name)) found.push_back(folder + "/" + name);
  }
  return found;
}

}  // namespace runwire
