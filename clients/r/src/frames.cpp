#include "frames.h"

#include <zlib.h>

#include <cstring>

#include "ids.h"
#include "wire.h"

namespace runwire {

namespace {

// RUN_STATUS_KILLED.
constexpr int64_t kKilled = 5;
constexpr size_t kMostBeats = 1000;

}  // namespace

uint32_t chained(uint32_t previous_crc, std::string_view payload) {
  std::string before;
  append_number<uint32_t>(before, previous_crc);
  uLong crc = crc32(0, reinterpret_cast<const Bytef*>(before.data()), 4);
  return static_cast<uint32_t>(
      crc32(crc, reinterpret_cast<const Bytef*>(payload.data()), static_cast<uInt>(payload.size())));
}

std::string joined(const std::vector<std::string>& keys) {
  std::string found;
  for (const auto& key : keys) {
    found += key;
    found.push_back('\0');
  }
  return found;
}

GroupRef make_group(const std::vector<std::string>& keys) {
  auto made = std::make_shared<Group>();
  made->hash = sha256(joined(keys)).substr(0, 16);
  append_field(made->data, 1, made->hash);
  for (const auto& key : keys) append_field(made->data, 2, key);
  return made;
}

std::string encode_regular_axis(int64_t first, int64_t stride) {
  std::string inner, found;
  append_fixed64(inner, 1, first);
  append_fixed64(inner, 2, stride);
  append_field(found, 4, inner);
  return found;
}

std::string encode_axis(const int64_t* steps, size_t count) {
  int64_t stride = 0;
  bool regular = count < 2 || !__builtin_sub_overflow(steps[1], steps[0], &stride);
  for (size_t i = 2; i < count && regular; i++) {
    int64_t distance;
    regular = !__builtin_sub_overflow(steps[i], steps[i - 1], &distance) && distance == stride;
  }
  if (regular) return encode_regular_axis(steps[0], stride);
  std::string inner, found;
  append_packed(inner, 1, steps, count);
  append_field(found, 3, inner);
  return found;
}

std::string encode_names(const std::vector<std::string>& keys) {
  std::string found;
  for (const auto& key : keys) append_field(found, 1, key);
  return found;
}

std::string encode_group_name(const std::string& hash) {
  std::string found;
  append_field(found, 2, hash);
  return found;
}

std::string encode_block(const std::string& names, const std::string& axis, const int64_t* times, size_t rows,
                         const double* values, size_t cells) {
  std::string found;
  found.reserve(names.size() + axis.size() + 8 * (rows + cells) + 16);
  found += names;
  found += axis;
  append_packed(found, 5, times, rows);
  append_packed(found, 6, values, cells);
  return found;
}

std::vector<std::string> heartbeats(const std::vector<std::string>& run_ids) {
  std::vector<std::string> found;
  for (size_t i = 0; i < run_ids.size(); i++) {
    if (i % kMostBeats == 0) found.emplace_back();
    append_field(found.back(), 1, run_ids[i]);
  }
  return found;
}

std::string encode_killed(const std::string& run_id, int64_t time) {
  std::string end, finish, record;
  append_int(end, 1, time / 1000);
  append_int(end, 2, time % 1000 * 1000000);
  append_field(finish, 1, run_id);
  append_int(finish, 2, kKilled);
  append_field(finish, 3, end);
  append_field(record, 6, finish);
  return record;
}

std::string encode_batch(const std::string& run_id, const std::vector<std::string>& blocks) {
  return encode_batch(run_id, blocks, {}, {});
}

std::string encode_batch(const std::string& run_id, const std::vector<std::string>& blocks,
                         const std::vector<std::pair<std::string, std::string>>& params,
                         const std::vector<std::pair<std::string, std::string>>& tags) {
  std::string inner, found;
  append_field(inner, 1, run_id);
  for (const auto& block : blocks) append_field(inner, 2, block);
  int field = 3;
  for (const auto* some : {&params, &tags}) {
    for (const auto& pair : *some) {
      std::string entry;
      append_field(entry, 1, pair.first);
      if (!pair.second.empty()) append_field(entry, 2, pair.second);
      append_field(inner, field, entry);
    }
    field++;
  }
  append_field(found, 3, inner);
  return found;
}

Rejection::Rejection() = default;
Rejection::Rejection(const Rejection& other) = default;
Rejection::Rejection(Rejection&& other) noexcept = default;
Rejection& Rejection::operator=(const Rejection& other) = default;
Rejection& Rejection::operator=(Rejection&& other) noexcept = default;
Rejection::~Rejection() = default;

Rejection read_rejection(std::string_view data) {
  Rejection found;
  found.data = std::string(data);
  WireReader reader(data);
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        found.run_id = reader.text();
        break;
      case 2:
        found.reason = reader.text();
        break;
      case 3:
        found.message = reader.text();
        break;
      case 4:
        found.first_sequence = reader.integer();
        break;
      case 5:
        found.last_sequence = reader.integer();
        break;
      case 6:
        found.records = reader.integer();
        break;
      case 7:
        found.points = reader.integer();
        break;
      case 8: {
        std::pair<std::string, std::string> pair;
        WireReader entry(reader.bytes);
        while (entry.next()) (entry.field == 1 ? pair.first : pair.second) = entry.text();
        found.metadata.push_back(pair);
        break;
      }
    }
  }
  return found;
}

std::string told(const Rejection& rejection) {
  std::string what = rejection.records == 1 ? "1 record" : std::to_string(rejection.records) + " records";
  if (rejection.points == 1) what += " with 1 metric point";
  if (rejection.points > 1) what += " with " + std::to_string(rejection.points) + " metric points";
  std::string run = rejection.run_id.empty() ? "" : " of run " + rejection.run_id;
  return "the server rejected " + what + run + ": " + rejection.message + " (" + rejection.reason + ")";
}

namespace {

std::unique_ptr<Welcome> read_welcome(std::string_view data) {
  auto found = std::make_unique<Welcome>();
  WireReader reader(data);
  while (reader.next()) {
    if (reader.field == 2) found->committed.sequence = reader.integer();
    if (reader.field == 3) found->committed.crc = static_cast<uint32_t>(reader.number);
    if (reader.field == 4) found->window_bytes = reader.integer();
    if (reader.field == 5) found->rejections.push_back(read_rejection(reader.bytes));
  }
  return found;
}

std::unique_ptr<Ack> read_ack(std::string_view data) {
  auto found = std::make_unique<Ack>();
  WireReader reader(data);
  while (reader.next()) {
    if (reader.field == 1) found->place.sequence = reader.integer();
    if (reader.field == 2) found->place.crc = static_cast<uint32_t>(reader.number);
    if (reader.field == 3) found->rejections.push_back(read_rejection(reader.bytes));
  }
  return found;
}

}  // namespace

StreamAnswer read_answer(std::string_view data) {
  StreamAnswer found;
  WireReader reader(data);
  while (reader.next()) {
    if (reader.field == 1) found.welcome = read_welcome(reader.bytes);
    if (reader.field == 2) found.ack = read_ack(reader.bytes);
  }
  return found;
}

std::string say_hello(const std::string& writer_id, const Place& acked) {
  std::string inner, found;
  append_field(inner, 1, writer_id);
  append_int(inner, 2, acked.sequence);
  append_fixed32(inner, 3, acked.crc);
  append_field(found, 1, inner);
  return found;
}

std::string say_frame(int64_t sequence, uint32_t previous_crc, const std::string& payload) {
  std::string inner, found;
  inner.reserve(payload.size() + 32);
  append_int(inner, 1, sequence);
  append_fixed32(inner, 2, previous_crc);
  append_field(inner, 3, payload);
  append_field(found, 2, inner);
  return found;
}

std::string say_declare(const Group& group) {
  std::string found;
  append_field(found, 3, group.data);
  return found;
}

std::string say_confirmed(int64_t sequence) {
  std::string found;
  append_tag(found, 4, 0);
  append_varint(found, static_cast<uint64_t>(sequence));
  return found;
}

}  // namespace runwire
