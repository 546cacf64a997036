// The rules of ids, keys and texts that the server enforces, checked where the caller stands: what is logged is
// sent later, and a key that no server takes has to be an error of the line that has it. All throw a Problem.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace runwire::rules {

constexpr size_t kMostParam = 6000;
constexpr size_t kMostTag = 8000;

void run_id(std::string_view value);
void experiment_id(std::string_view value);
void key(std::string_view value, const std::string& field);
// That of a metric, which is a part of a block to the server and to the caller just a key.
void metric_key(std::string_view value, const std::string& field);
// The name of a run or an experiment.
void name(std::string_view value, const std::string& field);
// Params or tags; `longest` bounds a value's characters.
void pairs(const std::vector<std::pair<std::string, std::string>>& given, const std::string& field, size_t longest);
// A text of any length.
void text(std::string_view value, const std::string& field);
// A text with a least and a most number of characters, without NUL.
void length(std::string_view value, size_t least, size_t most, const std::string& field);
// A time of a run, unix ms.
void time(int64_t value, const std::string& field);

// Counts characters (code points).
size_t characters(std::string_view value);

}  // namespace runwire::rules
