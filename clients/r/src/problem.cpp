#include "problem.h"

namespace runwire {

std::string concat(std::initializer_list<std::string_view> parts) {
  std::string found;
  for (std::string_view part : parts) found += part;
  return found;
}

Problem::Problem(std::string_view kind, const std::string& message, std::string_view field)
    : std::runtime_error(message), kind(kind), field(field) {}

Problem::Problem(const Problem& other) = default;

Problem::~Problem() = default;

Problem invalid(std::string_view field, std::string_view description) {
  return Problem("INVALID_ARGUMENT", concat({field, ": ", description}), field);
}

}  // namespace runwire
