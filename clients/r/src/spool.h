// A writer's spool: the frames that the server has not acknowledged, in files.
//
// A spool is a folder of its own, named by its writer:
//
//     lock          held (flock) by the one process that writes or delivers the spool; its text is the pid
//     HEX.segment   segments, named by the sequence of their first frame in 16 hex digits; see segments.h
//     acked         u64 sequence, u32 chained CRC, u32 CRC-32 of these 12 bytes: what is known to be
//                   acknowledged; a stale or torn one costs nothing but a longer welcome
//     rejections    entries of kind 4: what the server rejected, until a person was told
//     aside         JSON: why this spool's frames can not go on as their writer
//     successor     the name of the spool that takes the frames over, once that is whole
//
// A frame's bytes are handed to the operating system before they are sent, so that they outlive the process. They
// are not synced to disk one by one: online, the server's acknowledgement is the promise; `sync` is for those who
// have no server. Segments whose frames are all acknowledged are deleted.
//
// Functions that touch files throw std::system_error when the disk is full or fails. Whoever uses a spool guards it.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "segments.h"

namespace runwire {

constexpr uint64_t kNoLimit = uint64_t{1} << 62;

// Another process has the spool.
struct Held : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Whether a process has the spool.
bool is_held(const std::string& folder);

// Why a spool's frames can not go on as their writer.
struct Aside {
  std::string reason, message;
  int64_t delivered = 0;
};

class Spool {
 public:
  ~Spool();

  // Makes the spool of a new writer below `root`. A hidden one lies under a name that nobody takes for a spool.
  static std::unique_ptr<Spool> create(const std::string& root, const std::string& writer_id,
                                       const std::string& address, uint64_t limit, bool hidden = false);
  // Takes over the spool of a process that is gone. Throws Held.
  static std::unique_ptr<Spool> open(const std::string& folder, uint64_t limit);

  const std::string& folder() const { return folder_; }
  const std::string& writer_id() const { return writer_id_; }
  const std::string& address() const { return address_; }
  Place acked() const { return acked_; }
  Place cut() const { return cut_; }
  // What was skipped when the spool was opened, in sentences.
  const std::vector<std::string>& torn() const { return torn_; }
  uint64_t size() const;
  // How many frames the server is not known to have acknowledged.
  int64_t pending() const { return std::max<int64_t>(0, cut_.sequence - acked_.sequence); }
  // How many frames are held that the server does not have, as far as is known.
  int64_t undelivered() const;
  // How many of these stand behind a damaged place, so that they can not go on as this writer.
  int64_t stray() const;
  // Gives the undelivered frames in their order.
  void each_left(const std::function<void(const Stored&)>& give) const;

  // Finds room for a frame of so many bytes, in a new segment if need be. Returns a number that changes with the
  // segment; nothing if the spool is full.
  std::optional<int64_t> prepare(uint64_t size);
  // Writes a frame, in the segment that `prepare` found; its chained CRC is `crc`.
  void append(int64_t sequence, uint32_t previous_crc, uint32_t crc, const std::string& payload,
              const std::vector<GroupRef>& groups);
  // Reads a frame that is not acknowledged; false if it was not cut yet.
  bool take(int64_t sequence, Stored* found);
  // The chained CRC of a frame that is held.
  std::optional<uint32_t> crc_at(int64_t sequence) const;
  // Notes what is acknowledged, and deletes the segments that are so as a whole.
  void acknowledge(const Place& place);

  // Deletes what is written if all of it is acknowledged: the way on when the disk is full. Returns whether that freed
  // anything; the next frame needs `prepare` then.
  bool reclaim();

  // Keeps rejections, synced, until a person was told of them.
  void note(const std::vector<Rejection>& rejections);
  std::vector<Rejection> rejections() const;
  bool has_notes() const;
  // Forgets the rejections, of which a person was told.
  void told();
  void set_aside(const Aside& aside);
  std::optional<Aside> aside() const;

  // Has everything on the disk.
  void sync();
  // Lets go of the spool, and removes it if it holds nothing that anybody needs.
  void close();
  // Removes the spool with all that it holds; what others put into its folder stays.
  void remove();
  // Lets go of the spool, also in a child that inherited it: the lock stays with the parent then.
  void release();

 private:
  Spool(std::string folder, std::string writer_id, std::string address, File lock, uint64_t limit, Place acked);
  void recover();
  Place read_acked(const Place& base) const;
  void begin_segment();
  uint64_t segment_bound() const;
  void drop(size_t count);
  void offer(Stored frame);
  // The last frame that the server has, as far as is known, or that is not held.
  int64_t delivered() const;

  std::string folder_, writer_id_, address_;
  Place acked_, cut_;
  std::vector<std::string> torn_;
  uint64_t limit_;
  uint64_t segment_bytes_ = 0;
  File lock_, file_, acked_file_;
  std::vector<Segment> segments_;
  // Segments behind a damaged place.
  std::vector<Segment> strays_;
  std::set<std::string> declared_;
  // The last sequence that the server has of a spool that was set aside.
  std::optional<int64_t> floor_;

  // Frames that are not sent yet stay in memory up to a bound; beyond it they are read back.
  std::deque<Stored> tail_;
  uint64_t tail_bytes_ = 0;
  int64_t wanted_ = 1;
  std::unique_ptr<SegmentCursor> cursor_;
};

}  // namespace runwire
