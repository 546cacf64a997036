#include "json.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace runwire {

namespace {

void append_utf8(std::string& out, uint32_t c) {
  if (c < 0x80) {
    out.push_back(static_cast<char>(c));
  } else if (c < 0x800) {
    out.push_back(static_cast<char>(0xC0 | c >> 6));
    out.push_back(static_cast<char>(0x80 | (c & 0x3F)));
  } else if (c < 0x10000) {
    out.push_back(static_cast<char>(0xE0 | c >> 12));
    out.push_back(static_cast<char>(0x80 | (c >> 6 & 0x3F)));
    out.push_back(static_cast<char>(0x80 | (c & 0x3F)));
  } else {
    out.push_back(static_cast<char>(0xF0 | c >> 18));
    out.push_back(static_cast<char>(0x80 | (c >> 12 & 0x3F)));
    out.push_back(static_cast<char>(0x80 | (c >> 6 & 0x3F)));
    out.push_back(static_cast<char>(0x80 | (c & 0x3F)));
  }
}

// The text of a string, from behind its opening quote.
std::string string_at(const std::string& json, size_t at) {
  std::string found;
  uint32_t high = 0;
  while (at < json.size() && json[at] != '"') {
    char c = json[at++];
    if (c != '\\' || at >= json.size()) {
      found.push_back(c);
      continue;
    }
    char escape = json[at++];
    if (escape == 'u' && at + 4 <= json.size()) {
      uint32_t code = static_cast<uint32_t>(std::stoul(json.substr(at, 4), nullptr, 16));
      at += 4;
      if (code >= 0xD800 && code < 0xDC00) {
        high = code;
      } else if (code >= 0xDC00 && code < 0xE000) {
        append_utf8(found, 0x10000 + ((high - 0xD800) << 10) + (code - 0xDC00));
      } else {
        append_utf8(found, code);
      }
    } else {
      found.push_back(escape == 'n' ? '\n' : escape == 't' ? '\t' : escape == 'r' ? '\r' : escape);
    }
  }
  return found;
}

// The place behind `"key":` and the spaces there.
size_t place_of(const std::string& json, const std::string& key) {
  size_t at = json.find("\"" + key + "\"");
  if (at == std::string::npos) return json.size();
  at = json.find(':', at + key.size() + 2);
  return std::min(json.size(), json.find_first_not_of(" \t\r\n", at == std::string::npos ? json.size() : at + 1));
}

}  // namespace

std::string json_text(const std::string& text) {
  std::string found = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') {
      found.push_back('\\');
      found.push_back(c);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char code[8];
      std::snprintf(code, sizeof code, "\\u%04x", c);
      found += code;
    } else {
      found.push_back(c);
    }
  }
  return found + "\"";
}

std::string json_string(const std::string& json, const std::string& key) {
  size_t at = place_of(json, key);
  return at < json.size() && json[at] == '"' ? string_at(json, at + 1) : "";
}

int64_t json_integer(const std::string& json, const std::string& key) {
  return std::strtoll(json.c_str() + place_of(json, key), nullptr, 10);
}

}  // namespace runwire
