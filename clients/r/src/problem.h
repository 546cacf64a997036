// What goes wrong on this side of the wire: thrown in C++, raised as a condition in R.
#pragma once

#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>

namespace runwire {

// Texts one after the other. A chain of `+` is compiled anew wherever one stands.
std::string concat(std::initializer_list<std::string_view> parts);

struct Problem : std::runtime_error {
  // kind: `type`, `value`, `state`, or the name of a gRPC status code.
  Problem(std::string_view kind, const std::string& message, std::string_view field = "");
  Problem(const Problem& other);
  ~Problem() override;

  std::string kind;
  // The field that breaks a rule, as the server would name it; empty if there is none.
  std::string field;
};

// An argument that breaks a rule of the server's.
Problem invalid(std::string_view field, std::string_view description);

}  // namespace runwire
