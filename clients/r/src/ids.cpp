#include "ids.h"

#include <sys/random.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <system_error>

namespace runwire {

namespace {

// At most 256 random bytes.
void fill_random(void* bytes, size_t size) {
  if (::getentropy(bytes, size) != 0) throw std::system_error(errno, std::generic_category(), "getentropy");
}

}  // namespace

std::string new_id() {
  auto milliseconds = static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count());
  std::string bytes(16, '\0');
  fill_random(bytes.data(), bytes.size());
  for (int i = 0; i < 6; i++) bytes[i] = static_cast<char>(milliseconds >> (40 - 8 * i));
  bytes[6] = static_cast<char>((bytes[6] & 0x0F) | 0x70);
  bytes[8] = static_cast<char>((bytes[8] & 0x3F) | 0x80);
  return to_hex(bytes);
}

double random_fraction() {
  uint64_t bits;
  fill_random(&bits, sizeof bits);
  // As many bits as a double holds.
  return static_cast<double>(bits >> 11) * 0x1p-53;
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
