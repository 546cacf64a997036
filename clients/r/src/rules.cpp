#include "rules.h"

#include <unordered_set>

#include "problem.h"

namespace runwire::rules {

namespace {

constexpr size_t kMostKey = 250;
constexpr size_t kMostName = 500;
constexpr size_t kMostPairs = 1000;
// The largest time that a Timestamp can be.
constexpr int64_t kMostTime = 253402300799999;

// Reads a character of UTF-8 and moves on; -1 if the bytes are none.
int32_t next_character(std::string_view value, size_t& at) {
  unsigned char first = static_cast<unsigned char>(value[at++]);
  if (first < 0x80) return first;
  int more = first >= 0xF0 && first < 0xF5 ? 3 : first >= 0xE0 && first < 0xF0 ? 2 : first >= 0xC2 && first < 0xE0 ? 1 : 0;
  if (more == 0 || at + more > value.size()) return -1;
  int32_t found = first & (0x3F >> more);
  for (int i = 0; i < more; i++) {
    unsigned char byte = static_cast<unsigned char>(value[at++]);
    if ((byte & 0xC0) != 0x80) return -1;
    found = found << 6 | (byte & 0x3F);
  }
  bool surrogate = found >= 0xD800 && found < 0xE000;
  bool overlong = (more == 2 && found < 0x800) || (more == 3 && found < 0x10000);
  return surrogate || overlong || found > 0x10FFFF ? -1 : found;
}

bool is_control(int32_t c) { return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0x2028 || c == 0x2029; }

bool is_space(int32_t c) {
  return c == ' ' || (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x1F) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

struct Looked {
  size_t characters = 0;
  bool encodable = true;
  bool control = false;
  bool blank = true;
};

Looked look(std::string_view value) {
  Looked found;
  for (size_t at = 0; at < value.size(); found.characters++) {
    int32_t c = next_character(value, at);
    if (c < 0) {
      found.encodable = false;
    } else {
      found.control = found.control || is_control(c);
      found.blank = found.blank && is_space(c);
    }
  }
  return found;
}

bool is_relative_path(std::string_view value) {
  size_t start = 0;
  for (;;) {
    size_t end = value.find('/', start);
    std::string_view part = value.substr(start, end == std::string_view::npos ? end : end - start);
    if (part.empty() || part == "." || part == "..") return false;
    if (end == std::string_view::npos) return true;
    start = end + 1;
  }
}

std::string at_most(size_t most) { return "must have at most " + std::to_string(most) + " characters"; }

void encodable(const Looked& looked, const std::string& field) {
  if (!looked.encodable) throw invalid(field, "must be text that UTF-8 can hold");
}

}  // namespace

size_t characters(std::string_view value) { return look(value).characters; }

void run_id(std::string_view value) {
  bool good = value.size() == 32 && value.find_first_not_of("0123456789abcdef") == std::string_view::npos;
  if (!good) throw invalid("run_id", "must be 32 lower-case hex digits");
}

void experiment_id(std::string_view value) {
  bool digits = !value.empty() && value.find_first_not_of("0123456789") == std::string_view::npos;
  bool small = value.size() < 19 || (value.size() == 19 && value <= "9223372036854775807");
  if (!digits || !small || (value[0] == '0' && value.size() > 1)) {
    throw invalid("experiment_id", "must be a decimal number without leading zeros");
  }
}

void key(std::string_view value, const std::string& field) {
  if (value.empty()) throw invalid(field, "must not be empty");
  Looked looked = look(value);
  if (looked.characters > kMostKey) throw invalid(field, at_most(kMostKey));
  encodable(looked, field);
  if (looked.control) throw invalid(field, "must not have control characters");
  if (!is_relative_path(value)) throw invalid(field, "must be a relative path with no empty, '.' or '..' part");
}

void metric_key(std::string_view value, const std::string& field) {
  try {
    key(value, "key");
  } catch (Problem& problem) {
    problem.field = field;
    throw;
  }
}

void name(std::string_view value, const std::string& field) {
  Looked looked = look(value);
  if (looked.characters > kMostName) throw invalid(field, at_most(kMostName));
  encodable(looked, field);
  if (looked.blank) throw invalid(field, "must not be blank");
  if (looked.control) throw invalid(field, "must not have control characters");
}

void pairs(const std::vector<std::pair<std::string, std::string>>& given, const std::string& field, size_t longest) {
  if (given.size() > kMostPairs) {
    throw invalid(field, "must have at most " + std::to_string(kMostPairs) + " entries");
  }
  std::unordered_set<std::string_view> seen;
  for (size_t i = 0; i < given.size(); i++) {
    std::string place = field + "[" + std::to_string(i) + "]";
    key(given[i].first, place + ".key");
    Looked looked = look(given[i].second);
    if (looked.characters > longest) throw invalid(place + ".value", at_most(longest));
    encodable(looked, place + ".value");
    if (!seen.insert(given[i].first).second) throw invalid(place + ".key", "must not be there twice");
  }
}

void text(std::string_view value, const std::string& field) { encodable(look(value), field); }

void length(std::string_view value, size_t least, size_t most, const std::string& field) {
  Looked looked = look(value);
  if (looked.characters < least || looked.characters > most) {
    throw invalid(field, least == 0 ? at_most(most)
                                    : "must have " + std::to_string(least) + " to " + std::to_string(most) +
                                          " characters");
  }
  encodable(looked, field);
}

void time(int64_t value, const std::string& field) {
  if (value < 0 || value > kMostTime) throw invalid(field, "must be a time from 1970 to 9999");
}

}  // namespace runwire::rules
