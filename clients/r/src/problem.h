// What goes wrong on this side of the wire: thrown in C++, raised as a condition in R.
#pragma once

#include <stdexcept>
#include <string>

namespace runwire {

struct Problem : std::runtime_error {
  // kind: `type`, `value`, `state`, or the name of a gRPC status code.
  Problem(std::string kind, const std::string& message, std::string field = "")
      : std::runtime_error(message), kind(std::move(kind)), field(std::move(field)) {}

  std::string kind;
  // The field that breaks a rule, as the server would name it; empty if there is none.
  std::string field;
};

// An argument that breaks a rule of the server's.
inline Problem invalid(const std::string& field, const std::string& description) {
  return Problem("INVALID_ARGUMENT", field + ": " + description, field);
}

}  // namespace runwire
