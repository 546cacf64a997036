// As much of JSON as the small files beside spools and servers hold: flat objects.
#pragma once

#include <cstdint>
#include <string>

namespace runwire {

// A text as JSON writes it, in quotes.
std::string json_text(const std::string& text);

// A member of an object without nested ones: its text, or its whole number; empty, or 0, where there is none.
std::string json_string(const std::string& json, const std::string& key);
int64_t json_integer(const std::string& json, const std::string& key);

}  // namespace runwire
