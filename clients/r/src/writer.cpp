#include "writer.h"

namespace runwire {

namespace {
// Bounds the memory of what is on its way where frames are tiny.
constexpr size_t kMostInFlight = 16384;
}  // namespace

Place Writer::cut_frame(const std::string& payload) {
  cut_ = Place{cut_.sequence + 1, chained(cut_.crc, payload)};
  return cut_;
}

std::string Writer::hello() {
  lost();
  return say_hello(writer_id_, acked_);
}

void Writer::lost() {
  open_ = false;
  flying_.clear();
  flying_bytes_ = 0;
  sent_ = acked_.sequence;
}

void Writer::welcomed(const Welcome& welcome, const CrcAt& crc_at) {
  Place there = welcome.committed;
  std::string number = std::to_string(there.sequence);
  if (there.sequence < acked_.sequence) {
    throw Disagreement{"SERVER_BEHIND", "the server has frames up to " + number + " of this writer and had acknowledged " +
                                            std::to_string(acked_.sequence) + ": it was restored from a backup"};
  }
  if (there.sequence > cut_.sequence) {
    throw Disagreement{"WRITER_DIVERGED", "the server has frames of this writer up to " + number + ", and only " +
                                              std::to_string(cut_.sequence) +
                                              " were cut here: a copy of the spool was used elsewhere, or its last "
                                              "part was lost with the machine"};
  }
  std::optional<uint32_t> known;
  for (const Place& place : {Place(), acked_, cut_}) {
    if (!known && place.sequence == there.sequence) known = place.crc;
  }
  if (!known) known = crc_at(there.sequence);
  if (known && *known != there.crc) {
    throw Disagreement{"WRITER_DIVERGED", "the server has another frame " + number +
                                              " of this writer than was cut here: a copy of the spool was used "
                                              "elsewhere"};
  }
  acked_ = there;
  sent_ = there.sequence;
  window_ = welcome.window_bytes;
  open_ = true;
}

bool Writer::may_send(size_t bytes) const {
  if (!open_ || sent_ >= cut_.sequence) return false;
  if (flying_.empty()) return true;
  return flying_bytes_ + static_cast<int64_t>(bytes) <= window_ && flying_.size() < kMostInFlight;
}

void Writer::sending(int64_t sequence, uint32_t crc, size_t bytes) {
  sent_ = sequence;
  flying_.push_back(Flying{sequence, crc, bytes});
  flying_bytes_ += static_cast<int64_t>(bytes);
}

void Writer::acknowledged(const Place& place) {
  if (place.sequence > sent_) {
    throw Disagreement{"WRITER_DIVERGED", "the server acknowledged frame " + std::to_string(place.sequence) + ", and " +
                                              std::to_string(sent_) + " was the last one sent"};
  }
  while (!flying_.empty() && flying_.front().sequence <= place.sequence) {
    Flying frame = flying_.front();
    flying_.pop_front();
    flying_bytes_ -= static_cast<int64_t>(frame.bytes);
    if (frame.sequence == place.sequence && frame.crc != place.crc) {
      throw Disagreement{"WRITER_DIVERGED", "the server acknowledged another frame " +
                                                std::to_string(place.sequence) + " than was sent"};
    }
  }
  if (place.sequence > acked_.sequence) acked_ = place;
}

std::vector<Rejection> Writer::news(const std::vector<Rejection>& rejections) const {
  std::vector<Rejection> found;
  for (const auto& one : rejections) {
    auto before = noted_.find({one.run_id, one.reason});
    if (before == noted_.end() || one.last_sequence > before->second) found.push_back(one);
  }
  return found;
}

void Writer::noted(const std::vector<Rejection>& rejections) {
  for (const auto& one : rejections) {
    int64_t& place = noted_[{one.run_id, one.reason}];
    place = std::max(place, one.last_sequence);
    confirm_ = std::max(confirm_, one.last_sequence);
  }
}

int64_t Writer::take_confirmation() {
  int64_t told = confirm_;
  confirm_ = 0;
  return told;
}

bool Writer::is_final(const std::string& reason) {
  return reason == "SERVER_BEHIND" || reason == "WRITER_UNKNOWN" || reason == "WRITER_DIVERGED";
}

}  // namespace runwire
