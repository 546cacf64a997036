#include "frames.h"

#include <zlib.h>

#include <array>
#include <cstring>

#include "wire.h"

namespace runwire {

namespace {

// RUN_STATUS_KILLED.
constexpr int64_t kKilled = 5;

}  // namespace

uint32_t chained(uint32_t previous_crc, std::string_view payload) {
  std::string before;
  append_number<uint32_t>(before, previous_crc);
  uLong crc = crc32(0, reinterpret_cast<const Bytef*>(before.data()), 4);
  return static_cast<uint32_t>(
      crc32(crc, reinterpret_cast<const Bytef*>(payload.data()), static_cast<uInt>(payload.size())));
}

GroupRef make_group(const std::vector<std::string>& keys) {
  std::string all, data;
  for (const auto& key : keys) {
    all += key;
    all.push_back('\0');
  }
  auto made = std::make_shared<Group>();
  made->hash = sha256(all).substr(0, 16);
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

namespace {

// FIPS 180-4.
constexpr std::array<uint32_t, 64> kRounds = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

uint32_t turned(uint32_t word, int by) { return word >> by | word << (32 - by); }

void sha_block(std::array<uint32_t, 8>& state, const unsigned char* data) {
  uint32_t w[64];
  for (int i = 0; i < 16; i++) {
    w[i] = static_cast<uint32_t>(data[4 * i]) << 24 | static_cast<uint32_t>(data[4 * i + 1]) << 16 |
           static_cast<uint32_t>(data[4 * i + 2]) << 8 | data[4 * i + 3];
  }
  for (int i = 16; i < 64; i++) {
    uint32_t a = turned(w[i - 15], 7) ^ turned(w[i - 15], 18) ^ w[i - 15] >> 3;
    uint32_t b = turned(w[i - 2], 17) ^ turned(w[i - 2], 19) ^ w[i - 2] >> 10;
    w[i] = w[i - 16] + a + w[i - 7] + b;
  }
  std::array<uint32_t, 8> s = state;
  for (int i = 0; i < 64; i++) {
    uint32_t one = s[7] + (turned(s[4], 6) ^ turned(s[4], 11) ^ turned(s[4], 25)) +
                   ((s[4] & s[5]) ^ (~s[4] & s[6])) + kRounds[i] + w[i];
    uint32_t two = (turned(s[0], 2) ^ turned(s[0], 13) ^ turned(s[0], 22)) +
                   ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
    s = {one + two, s[0], s[1], s[2], s[3] + one, s[4], s[5], s[6]};
  }
  for (int i = 0; i < 8; i++) state[i] += s[i];
}

}  // namespace

std::string sha256(std::string_view data) {
  std::array<uint32_t, 8> state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                   0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::string tail(data.substr(data.size() / 64 * 64));
  tail.push_back('\x80');
  while (tail.size() % 64 != 56) tail.push_back('\0');
  uint64_t bits = static_cast<uint64_t>(data.size()) * 8;
  for (int shift = 56; shift >= 0; shift -= 8) tail.push_back(static_cast<char>(bits >> shift));
  const auto* bytes = reinterpret_cast<const unsigned char*>(data.data());
  for (size_t i = 0; i + 64 <= data.size(); i += 64) sha_block(state, bytes + i);
  for (size_t i = 0; i < tail.size(); i += 64) {
    sha_block(state, reinterpret_cast<const unsigned char*>(tail.data()) + i);
  }
  std::string found;
  for (uint32_t word : state) {
    for (int shift = 24; shift >= 0; shift -= 8) found.push_back(static_cast<char>(word >> shift));
  }
  return found;
}

std::string to_hex(std::string_view data) {
  static const char digits[] = "0123456789abcdef";
  std::string found;
  for (unsigned char byte : data) {
    found.push_back(digits[byte >> 4]);
    found.push_back(digits[byte & 15]);
  }
  return found;
}

std::string from_hex(std::string_view hex) {
  auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::string found;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    found.push_back(static_cast<char>(digit(hex[i]) << 4 | digit(hex[i + 1])));
  }
  return found;
}

}  // namespace runwire
