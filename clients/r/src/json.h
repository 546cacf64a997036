// As much of JSON as the small files beside spools and servers hold: flat objects.
#pragma once

#include <string>

namespace runwire {

// A text as JSON writes it, in quotes.
std::string json_text(const std::string& text);

// Reads the text of a string in JSON, from behind its opening quote.
std::string json_string(const std::string& json, size_t at);

// The place behind `"key":` and the spaces there, in an object without nested ones.
size_t json_place(const std::string& json, const std::string& key);

}  // namespace runwire
