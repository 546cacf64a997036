// Small bridges between R's values and C++'s. To be used on R's own thread alone.
//
// They stand on R's C interface: Rcpp's headers cost each source a second, and are left to the two that need them.
#pragma once

#define R_NO_REMAP
#include <Rinternals.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "problem.h"
#include "status.h"

namespace runwire {

// The largest integer up to which a double holds each one.
constexpr double kExact = 9007199254740992.0;

// Keeps a value from R's collector for as long as this lives.
class Kept {
 public:
  explicit Kept(SEXP value) : value_(Rf_protect(value)) {}
  ~Kept() { Rf_unprotect(1); }
  Kept(const Kept&) = delete;
  Kept& operator=(const Kept&) = delete;
  operator SEXP() const { return value_; }

 private:
  SEXP value_;
};

// A list with names, in the making.
class NamedList {
 public:
  explicit NamedList(size_t size);
  void add(const std::string& name, SEXP value);
  operator SEXP() const { return list_; }

 private:
  Kept list_, names_;
  R_xlen_t count_ = 0;
};

// What a value is, for sentences that say what it is not to be: its class, or the type of what has none.
std::string kind_of(SEXP value);

// A string as UTF-8; bytes that are no text stay as they are. Throws if it is NA.
std::string utf8(SEXP charsxp, const char* what);

// The one string of a character vector of length 1.
std::string text(SEXP value, const char* what);

// All strings of a character vector; NULL has none.
std::vector<std::string> texts(SEXP value, const char* what);

// The one number, the one TRUE or FALSE of a vector of length 1.
double number(SEXP value, const char* what);
bool flag(SEXP value, const char* what);

// The bytes of a raw vector.
std::string bytes(SEXP value, const char* what);

// The member of a list; NULL if there is none of the name.
SEXP member(SEXP list, const char* name);

// A string of a character vector.
SEXP make_string(const std::string& value);
// A character vector.
SEXP make_text(const std::string& value);
SEXP make_texts(const std::vector<std::string>& values);
SEXP make_raw(const std::string& bytes);
// A list of raw vectors.
SEXP make_raws(const std::vector<std::string>& values);

// Whether these are bit64's integers, which lie in the bits of doubles.
bool is_integer64(SEXP value);
// The one at a place; none where that is NA.
std::optional<int64_t> integer64_at(SEXP value, R_xlen_t place);

// The integer at a place of an integer, double, integer64 or character vector.
int64_t integer_at(SEXP value, R_xlen_t place, const std::string& what);

// The one integer of a vector of length 1.
int64_t integer(SEXP value, const std::string& what);

std::vector<int64_t> integers(SEXP value, const std::string& what);

// A double vector; a character vector where a number is beyond 2^53.
SEXP make_integers(const int64_t* numbers, size_t count);

SEXP make_failure(const Failure& failure);
SEXP make_problem(const Problem& problem);

// Lets R look for an interrupt of the user and for its limits of time; true where it wants to leave for a handler. Who
// gets that throws Interruption at once, so that C++ cleans up. No lock is held meanwhile: handlers are code of the user.
bool user_interrupted();

// Behind an Interruption: has R go on to where it wanted to.
[[noreturn]] void go_on_jumping();

// Runs something that may throw a Problem, which is then returned as a list of class `runwire_problem`.
template <typename Body>
SEXP guarded(Body body) {
  try {
    return body();
  } catch (const Problem& problem) {
    return make_problem(problem);
  }
}

}  // namespace runwire
