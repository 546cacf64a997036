// The protobuf wire format, as far as frames, streams and statuses need it: written and read by hand, so that
// a column of numbers is copied as a whole and background threads share no reflection with R's.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace runwire {

// Appends the low bytes of a number, little-endian.
template <typename T>
void append_number(std::string& out, T number) {
  for (size_t i = 0; i < sizeof(T); i++) {
    out.push_back(static_cast<char>(static_cast<uint64_t>(number) >> (8 * i)));
  }
}

// Reads a little-endian number; the caller knows that the bytes are there.
template <typename T>
T read_number(const char* data) {
  uint64_t found = 0;
  for (size_t i = 0; i < sizeof(T); i++) {
    found |= static_cast<uint64_t>(static_cast<unsigned char>(data[i])) << (8 * i);
  }
  return static_cast<T>(found);
}

inline void append_varint(std::string& out, uint64_t number) {
  while (number >= 128) {
    out.push_back(static_cast<char>(number & 127 | 128));
    number >>= 7;
  }
  out.push_back(static_cast<char>(number));
}

inline void append_tag(std::string& out, int field, int wire_type) {
  append_varint(out, static_cast<uint64_t>(field) << 3 | static_cast<uint64_t>(wire_type));
}

// A field of bytes, text, a message or packed numbers.
inline void append_field(std::string& out, int field, std::string_view data) {
  append_tag(out, field, 2);
  append_varint(out, data.size());
  out.append(data);
}

inline void append_int(std::string& out, int field, int64_t number) {
  if (number == 0) return;
  append_tag(out, field, 0);
  append_varint(out, static_cast<uint64_t>(number));
}

inline void append_fixed32(std::string& out, int field, uint32_t number) {
  if (number == 0) return;
  append_tag(out, field, 5);
  append_number<uint32_t>(out, number);
}

inline void append_fixed64(std::string& out, int field, int64_t number) {
  append_tag(out, field, 1);
  append_number<int64_t>(out, number);
}

// Packed 8-byte numbers, as they lie in memory.
template <typename T>
void append_packed(std::string& out, int field, const T* numbers, size_t count) {
  static_assert(sizeof(T) == 8, "packed fields here are 8 bytes wide");
  append_tag(out, field, 2);
  append_varint(out, count * 8);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  for (size_t i = 0; i < count; i++) {
    uint64_t bits;
    std::memcpy(&bits, numbers + i, 8);
    append_number<uint64_t>(out, bits);
  }
#else
  if (count > 0) out.append(reinterpret_cast<const char*>(numbers), count * 8);
#endif
}

// Reads the fields of one message, one after the other. `next` returns false at the end, and at the first
// byte that is not protobuf, which `good` tells apart.
class WireReader {
 public:
  explicit WireReader(std::string_view data) : at_(data.data()), end_(data.data() + data.size()) {}

  bool next() {
    if (at_ == end_ || !good_) return false;
    uint64_t tag = varint();
    field = static_cast<int>(tag >> 3);
    switch (tag & 7) {
      case 0:
        number = varint();
        break;
      case 1:
        number = fixed<uint64_t>();
        break;
      case 2: {
        uint64_t size = varint();
        if (size > static_cast<uint64_t>(end_ - at_)) return fail();
        bytes = std::string_view(at_, size);
        at_ += size;
        break;
      }
      case 5:
        number = fixed<uint32_t>();
        break;
      default:
        return fail();
    }
    return good_;
  }

  bool good() const { return good_; }
  std::string text() const { return std::string(bytes); }
  int64_t integer() const { return static_cast<int64_t>(number); }

  int field = 0;
  uint64_t number = 0;
  std::string_view bytes;

 private:
  bool fail() { return good_ = false; }

  uint64_t varint() {
    uint64_t found = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ == end_) break;
      unsigned char byte = static_cast<unsigned char>(*at_++);
      found |= static_cast<uint64_t>(byte & 127) << shift;
      if (byte < 128) return found;
    }
    good_ = false;
    return 0;
  }

  template <typename T>
  uint64_t fixed() {
    if (static_cast<size_t>(end_ - at_) < sizeof(T)) return fail();
    T found = read_number<T>(at_);
    at_ += sizeof(T);
    return found;
  }

  const char* at_;
  const char* end_;
  bool good_ = true;
};

}  // namespace runwire
