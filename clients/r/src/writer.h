// The client's side of the protocol of frames: a state machine, without I/O and without a clock. It knows which
// frames were cut, sent and acknowledged, never what is in them. `StreamFrames` in metric.proto is the protocol.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "frames.h"

namespace runwire {

// The server and this writer hold two histories.
struct Disagreement {
  std::string reason, message;
};

class Writer {
 public:
  using CrcAt = std::function<std::optional<uint32_t>(int64_t)>;

  Writer(std::string writer_id, Place acked, Place cut)
      : writer_id_(std::move(writer_id)), cut_(cut), acked_(acked), sent_(acked.sequence) {}

  const std::string& writer_id() const { return writer_id_; }
  // The last frame that was cut, and the last one that is known to be on the server's disk.
  Place cut() const { return cut_; }
  Place acked() const { return acked_; }
  // The last one that was sent on this stream, or that needs not be sent.
  int64_t sent() const { return sent_; }
  int64_t pending() const { return std::max<int64_t>(0, cut_.sequence - acked_.sequence); }
  bool is_open() const { return open_; }

  // Gives the next frame its place, for good once it is in the spool; `uncut` takes the last one back.
  Place cut_frame(const std::string& payload);
  void uncut(const Place& before) { cut_ = before; }

  // Opens a new stream: what was sent and not acknowledged counts as unsent. Returns what to say first.
  std::string hello();
  void lost();
  // Takes the server's answer to hello; `crc_at` tells the chained CRC of a frame that is held. Throws Disagreement.
  void welcomed(const Welcome& welcome, const CrcAt& crc_at);
  // Whether the next frame may go out now; one frame alone always fits.
  bool may_send(size_t bytes) const;
  void sending(int64_t sequence, uint32_t crc, size_t bytes);
  // Throws Disagreement where it acknowledges what was not sent, or other bytes.
  void acknowledged(const Place& place);

  // Picks the rejections that were not noted before: note them durably, then call `noted` with all.
  std::vector<Rejection> news(const std::vector<Rejection>& rejections) const;
  void noted(const std::vector<Rejection>& rejections);
  // What to send as `confirmed_through`, once; 0 if there is nothing to send.
  int64_t take_confirmation();

  // Whether a stream that failed for this reason ends the writer for good.
  static bool is_final(const std::string& reason);

 private:
  struct Flying {
    int64_t sequence;
    uint32_t crc;
    size_t bytes;
  };

  std::string writer_id_;
  Place cut_, acked_;
  int64_t sent_;
  bool open_ = false;
  int64_t window_ = 0;
  std::deque<Flying> flying_;
  int64_t flying_bytes_ = 0;
  int64_t confirm_ = 0;
  std::map<std::pair<std::string, std::string>, int64_t> noted_;
};

}  // namespace runwire
