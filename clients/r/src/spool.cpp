#include "spool.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>

#include "json.h"
#include "problem.h"
#include "wire.h"

namespace runwire {

namespace {

constexpr uint64_t kSegmentBytes = 16 * 1024 * 1024;
constexpr uint64_t kTailBytes = 8 * 1024 * 1024;
constexpr uint64_t kOverhead = 64;
constexpr uint64_t kLeastOfFree = 256 * 1024;
constexpr size_t kAckedBytes = 16;

// All other files of a spool. The mark of what is delivered goes after the segments: a crash in between must not bring
// frames back.
const char* const kFiles[] = {"rejections", "aside", "successor", "successor.new", "acked", "lock"};

// Clients whose runtime has no flock hold a record lock. Here it is one of the open file: one of the process would end
// as soon as this process closes the file again, having looked whether somebody holds a spool of its own.
bool take_record_lock(int descriptor) {
  struct flock whole = {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
#ifdef F_OFD_SETLK
  if (::fcntl(descriptor, F_OFD_SETLK, &whole) == 0) return true;
  // A kernel that does not know it.
  if (errno != EINVAL) return false;
#endif
  return ::fcntl(descriptor, F_SETLK, &whole) == 0;
}

File lock(const std::string& folder) {
  File found = File::open(folder + "/lock", O_RDWR | O_CREAT);
  bool taken = ::flock(found.descriptor(), LOCK_EX | LOCK_NB) == 0 && take_record_lock(found.descriptor());
  if (!taken) {
    // File systems may have no locks at all, which is no other process.
    if (errno != EWOULDBLOCK && errno != EAGAIN && errno != EACCES) failed(folder + "/lock");
    std::string pid = found.read(0, 32);
    throw Held(concat({"the spool ", folder, " is in use by process ", pid.empty() ? "unknown" : pid}));
  }
  if (::ftruncate(found.descriptor(), 0) != 0) failed(folder + "/lock");
  found.write_whole(std::to_string(::getpid()), 0);
  return found;
}

uint32_t plain_crc(const std::string& data) {
  return static_cast<uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(data.data()), static_cast<uInt>(data.size())));
}

}  // namespace

bool is_held(const std::string& folder) {
  try {
    lock(folder);
    return false;
  } catch (const Held&) {
    return true;
  }
}

Spool::Spool(std::string folder, std::string writer_id, std::string address, File held, uint64_t limit, Place acked)
    : folder_(std::move(folder)),
      writer_id_(std::move(writer_id)),
      address_(std::move(address)),
      acked_(acked),
      cut_(acked),
      limit_(limit),
      lock_(std::move(held)),
      wanted_(acked.sequence + 1) {}

Spool::~Spool() = default;

std::unique_ptr<Spool> Spool::create(const std::string& root, const std::string& writer_id,
                                     const std::string& address, uint64_t limit, bool hidden) {
  make_folders(root);
  // Nobody looks into it before the lock is held: names with a dot are not spools.
  std::string folder = root + "/." + writer_id;
  if (::mkdir(folder.c_str(), 0700) != 0) failed(folder);
  File held;
  try {
    held = lock(folder);
  } catch (...) {
    // The next try makes another one.
    ::unlink((folder + "/lock").c_str());
    ::rmdir(folder.c_str());
    throw;
  }
  if (!hidden) {
    std::string seen = root + "/" + writer_id;
    if (::rename(folder.c_str(), seen.c_str()) != 0) failed(seen);
    folder = seen;
  }
  return std::unique_ptr<Spool>(new Spool(folder, writer_id, address, std::move(held), limit, Place()));
}

std::unique_ptr<Spool> Spool::open(const std::string& folder, uint64_t limit) {
  File held = lock(folder);
  std::string name = folder.substr(folder.rfind('/') + 1);
  std::unique_ptr<Spool> found(new Spool(folder, name, "", std::move(held), limit, Place()));
  found->recover();
  return found;
}

void Spool::recover() {
  bool first = true;
  Place base;
  for (const auto& path : segments_in(folder_)) {
    Scan scan(path);
    if (scan.torn > 0) {
      torn_.push_back(concat({std::to_string(scan.torn), " bytes at the end of ", path, " are not whole"}));
    }
    if (!scan.has_head) continue;
    if (first) {
      writer_id_ = scan.head.writer_id;
      address_ = scan.head.address;
      base = cut_ = scan.segment.before;
      first = false;
    }
    if (!strays_.empty() || !(scan.segment.before == cut_)) {
      torn_.push_back(path + " does not follow on what is in front of it");
      strays_.push_back(scan.segment);
      continue;
    }
    segments_.push_back(scan.segment);
    cut_ = scan.end;
  }
  acked_ = read_acked(base);
  wanted_ = acked_.sequence + 1;
  if (auto found = aside()) floor_ = found->delivered;
}

Place Spool::read_acked(const Place& base) const {
  std::string path = folder_ + "/acked";
  if (!exists(path)) return base;
  std::string data = read_file(path);
  if (data.size() != kAckedBytes || plain_crc(data.substr(0, 12)) != read_number<uint32_t>(data.data() + 12)) {
    return base;
  }
  Place found{read_number<int64_t>(data.data()), read_number<uint32_t>(data.data() + 8)};
  return found.sequence > base.sequence ? found : base;
}

uint64_t Spool::size() const {
  uint64_t found = 0;
  for (const auto& segment : segments_) found += segment.size;
  return found;
}

int64_t Spool::undelivered() const {
  return std::max<int64_t>(0, cut_.sequence - delivered()) + stray();
}

int64_t Spool::stray() const {
  int64_t found = 0;
  for (const auto& one : strays_) {
    found += std::max<int64_t>(0, one.last - std::max(one.before.sequence, delivered()));
  }
  return found;
}

int64_t Spool::delivered() const {
  if (!floor_) return acked_.sequence;
  return std::max(*floor_, segments_.empty() ? cut_.sequence : segments_.front().before.sequence);
}

void Spool::each_left(const std::function<void(const Stored&)>& give) const {
  for (const auto* some : {&segments_, &strays_}) {
    for (const Segment& segment : *some) {
      SegmentCursor cursor(segment);
      Stored stored;
      for (int64_t at = std::max(segment.before.sequence, delivered()) + 1; at <= segment.last; at++) {
        if (!cursor.read(at, segment.size, &stored)) {
          throw std::system_error(EIO, std::generic_category(), segment.path);
        }
        give(stored);
      }
    }
  }
}

std::optional<int64_t> Spool::prepare(uint64_t size) {
  size += kOverhead;
  auto is_full = [&](const Segment& one) { return one.is_filled() && one.size + size > segment_bytes_; };
  if (file_.is_open() && segments_.back().is_filled() && segments_.back().last <= acked_.sequence &&
      (segments_.back().size > segment_bytes_ / 2 || is_full(segments_.back()))) {
    drop(segments_.size());
  }
  if (pending() > 0 && this->size() + size > limit_) return std::nullopt;
  if (!file_.is_open() || is_full(segments_.back())) begin_segment();
  return segments_.back().before.sequence;
}

void Spool::begin_segment() {
  char name[32];
  std::snprintf(name, sizeof name, "/%016llx%s", static_cast<unsigned long long>(cut_.sequence + 1), kSegment);
  std::string path = folder_ + name;
  std::string data = head_entry(Head{writer_id_, cut_.sequence + 1, cut_.crc, address_});
  File made = File::open(path, O_RDWR | O_CREAT | O_TRUNC);
  try {
    made.write_whole(data, 0);
  } catch (const std::system_error&) {
    ::unlink(path.c_str());
    throw;
  }
  file_ = std::move(made);
  declared_.clear();
  segment_bytes_ = segment_bound();
  segments_.push_back(Segment{path, cut_, cut_.sequence, data.size()});
}

// How large a segment may grow: to a part of what is free, so that acknowledgements free some.
uint64_t Spool::segment_bound() const {
  struct statvfs found;
  if (::statvfs(folder_.c_str(), &found) != 0) failed(folder_);
  uint64_t free = std::max<uint64_t>(kLeastOfFree, found.f_bavail * found.f_frsize / 4);
  return std::max<uint64_t>(4096, std::min({kSegmentBytes, limit_ / 8, free}));
}

void Spool::append(int64_t sequence, uint32_t previous_crc, uint32_t crc, const std::string& payload,
                   const std::vector<GroupRef>& groups) {
  std::string data;
  for (const auto& group : groups) {
    if (declared_.count(group->hash) == 0) data += entry(Kind::kGroup, group->data);
  }
  data += frame_entry(sequence, previous_crc, payload);
  Segment& segment = segments_.back();
  file_.write_whole(data, segment.size);
  for (const auto& group : groups) declared_.insert(group->hash);
  segment.size += data.size();
  segment.last = sequence;
  cut_ = Place{sequence, crc};
  offer(Stored{sequence, previous_crc, payload, groups});
}

void Spool::offer(Stored frame) {
  int64_t expected = tail_.empty() ? wanted_ : tail_.back().sequence + 1;
  if (frame.sequence != expected || tail_bytes_ + frame.payload.size() > kTailBytes) return;
  tail_bytes_ += frame.payload.size();
  tail_.push_back(std::move(frame));
}

bool Spool::take(int64_t sequence, Stored* found) {
  while (!tail_.empty() && tail_.front().sequence < sequence) {
    tail_bytes_ -= tail_.front().payload.size();
    tail_.pop_front();
  }
  bool there = !tail_.empty() && tail_.front().sequence == sequence;
  if (there) {
    *found = std::move(tail_.front());
    tail_bytes_ -= found->payload.size();
    tail_.pop_front();
  } else {
    for (const auto& segment : segments_) {
      if (segment.before.sequence >= sequence || sequence > segment.last) continue;
      if (!cursor_ || cursor_->path() != segment.path || cursor_->next() > sequence) {
        cursor_ = std::make_unique<SegmentCursor>(segment);
      }
      there = cursor_->read(sequence, segment.size, found);
    }
  }
  wanted_ = there ? sequence + 1 : sequence;
  return there;
}

std::optional<uint32_t> Spool::crc_at(int64_t sequence) const {
  for (const auto& segment : segments_) {
    if (segment.before.sequence == sequence) return segment.before.crc;
    uint32_t crc;
    if (segment.before.sequence < sequence && sequence <= segment.last && crc_in(segment, sequence, &crc)) return crc;
  }
  return std::nullopt;
}

void Spool::acknowledge(const Place& place) {
  if (place.sequence <= acked_.sequence) return;
  acked_ = place;
  try {
    if (!acked_file_.is_open()) acked_file_ = File::open(folder_ + "/acked", O_RDWR | O_CREAT);
    std::string data;
    append_number<uint64_t>(data, static_cast<uint64_t>(place.sequence));
    append_number<uint32_t>(data, place.crc);
    append_number<uint32_t>(data, plain_crc(data));
    acked_file_.write_whole(data, 0);
  } catch (const std::system_error&) {
    // A mark that a full disk does not take is a longer welcome, and no loss.
  }
  size_t whole = 0;
  while (whole + 1 < segments_.size() && segments_[whole].last <= place.sequence) whole++;
  drop(whole);
}

bool Spool::reclaim() {
  bool filled = std::any_of(segments_.begin(), segments_.end(), [](const Segment& one) { return one.is_filled(); });
  if (pending() > 0 || !filled) return false;
  drop(segments_.size());
  return true;
}

void Spool::drop(size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (cursor_ && cursor_->path() == segments_[i].path) cursor_.reset();
    ::unlink(segments_[i].path.c_str());
  }
  segments_.erase(segments_.begin(), segments_.begin() + static_cast<std::ptrdiff_t>(count));
  if (segments_.empty()) file_.close();
}

void Spool::note(const std::vector<Rejection>& rejections) {
  if (rejections.empty()) return;
  std::string data;
  for (const auto& one : rejections) data += entry(Kind::kRejection, one.data);
  File file = File::open(folder_ + "/rejections", O_RDWR | O_CREAT);
  file.write_whole(data, file.size());
  file.sync();
}

std::vector<Rejection> Spool::rejections() const {
  std::vector<Rejection> found;
  if (!has_notes()) return found;
  File file = File::open(folder_ + "/rejections", O_RDONLY);
  uint64_t at = 0;
  Entry one;
  while (read_entry(file, at, file.size(), &one)) {
    at = one.end;
    if (one.kind == Kind::kRejection) found.push_back(read_rejection(one.body));
  }
  return found;
}

bool Spool::has_notes() const { return exists(folder_ + "/rejections"); }

void Spool::told() { ::unlink((folder_ + "/rejections").c_str()); }

void Spool::set_aside(const Aside& aside) {
  floor_ = aside.delivered;
  write_file(folder_ + "/aside",
             concat({"{\"reason\": ", json_text(aside.reason), ", \"message\": ", json_text(aside.message),
                     ", \"delivered\": ", std::to_string(aside.delivered), "}"}),
             false);
}

std::optional<Aside> Spool::aside() const {
  std::string path = folder_ + "/aside";
  if (!exists(path)) return std::nullopt;
  std::string json = read_file(path);
  Aside found;
  found.reason = json_string(json, "reason");
  found.message = json_string(json, "message");
  found.delivered = json_integer(json, "delivered");
  return found;
}

void Spool::sync() {
  for (auto& segment : segments_) segment.sync();
  File::open(folder_, O_RDONLY).sync();
  // Where its own name stands.
  File::open(folder_ + "/..", O_RDONLY).sync();
}

void Spool::close() {
  if (undelivered() > 0 || has_notes()) {
    release();
  } else {
    remove();
  }
}

void Spool::remove() {
  for (const auto& path : segments_in(folder_)) ::unlink(path.c_str());
  for (const char* name : kFiles) ::unlink((folder_ + "/" + name).c_str());
  // Fails where others have put something into the folder, which stays then.
  ::rmdir(folder_.c_str());
  release();
}

void Spool::release() {
  file_.close();
  cursor_.reset();
  acked_file_.close();
  lock_.close();
}

}  // namespace runwire
