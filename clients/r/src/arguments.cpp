#include "arguments.h"

#include <chrono>
#include <cmath>

namespace runwire {

int64_t now() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string metric(const std::string& key, const char* what) { return "metric '" + key + "': " + what; }

namespace {

[[noreturn]] void no_number(const std::string& key, const std::string& found) {
  throw Problem("type", metric(key, "the value must be a number, not ") + found);
}

// Whether the class of a vector of numbers gives them another meaning.
bool is_classed(SEXP value) {
  if (!Rf_isObject(value)) return false;
  for (const char* one : {"factor", "Date", "POSIXct", "POSIXlt", "difftime"}) {
    if (Rf_inherits(value, one)) return true;
  }
  return false;
}

// The milliseconds that 1 stands for in a vector of R's own times; 0 in what is none.
double unit_of_time(SEXP value) {
  if (!Rf_isObject(value)) return 0;
  if (Rf_inherits(value, "POSIXct")) return 1000;
  return Rf_inherits(value, "Date") ? 86400000 : 0;
}

// The double that is the same number as one of bit64's.
double from_integer64(SEXP value, R_xlen_t place, const std::string& key) {
  std::optional<int64_t> found = integer64_at(value, place);
  if (!found) no_number(key, "NA (NaN is one)");
  auto held = static_cast<double>(*found);
  // What is rounded up to 2^63 is no int64_t any more.
  if (held >= 0x1p63 || static_cast<int64_t>(held) != *found) {
    throw Problem("value", metric(key, "the value must be a number that a double holds, not ") + std::to_string(*found));
  }
  return held;
}

// Whether a number is a whole one as R's users have most of them: these are read without a look at what else they may be.
bool is_plain_integer(SEXP value) {
  if (TYPEOF(value) != REALSXP || Rf_xlength(value) != 1 || Rf_isObject(value)) return false;
  double found = REAL(value)[0];
  return std::fabs(found) <= kExact && found == std::floor(found);
}

}  // namespace

double number_at(SEXP value, R_xlen_t place, const std::string& key) {
  if (is_classed(value)) no_number(key, kind_of(value));
  if (is_integer64(value)) return from_integer64(value, place, key);
  if (TYPEOF(value) == REALSXP) {
    double found = REAL(value)[place];
    if (R_IsNA(found)) no_number(key, "NA (NaN is one)");
    return found;
  }
  if (TYPEOF(value) == INTSXP) {
    if (INTEGER(value)[place] == NA_INTEGER) no_number(key, "NA (NaN is one)");
    return INTEGER(value)[place];
  }
  no_number(key, value == R_NilValue ? "NULL" : Rf_type2char(TYPEOF(value)));
}

int64_t time_at(SEXP value, R_xlen_t place, const std::string& what) {
  double unit = unit_of_time(value);
  if (unit == 0) return integer_at(value, place, what);
  bool whole = TYPEOF(value) == INTSXP;
  if (!whole && TYPEOF(value) != REALSXP) throw Problem("type", what + " must be a time, not " + kind_of(value));
  bool missing = whole ? INTEGER(value)[place] == NA_INTEGER : !std::isfinite(REAL(value)[place]);
  if (missing) throw Problem("type", what + " must not be NA");
  double found = std::round((whole ? INTEGER(value)[place] : REAL(value)[place]) * unit);
  if (std::fabs(found) > kExact) throw Problem("value", what + " must be a time of less than 2^53 milliseconds");
  return static_cast<int64_t>(found);
}

int64_t checked_time(SEXP value, R_xlen_t place, const std::string& key, const std::string& field) {
  int64_t found = time_at(value, place, metric(key, "timestamp"));
  if (found < 0) throw Problem("INVALID_ARGUMENT", "timestamp: must be 0 or later", field);
  return found;
}

int64_t step_of(SEXP step, const std::string& key) {
  if (step == R_NilValue) return 0;
  if (TYPEOF(step) == INTSXP && Rf_xlength(step) == 1 && INTEGER(step)[0] != NA_INTEGER && !Rf_isObject(step)) {
    return INTEGER(step)[0];
  }
  if (is_plain_integer(step)) return static_cast<int64_t>(REAL(step)[0]);
  return integer(step, metric(key, "step"));
}

int64_t time_of(SEXP timestamp, const std::string& key) {
  if (timestamp == R_NilValue) return now();
  if (is_plain_integer(timestamp) && REAL(timestamp)[0] >= 0) return static_cast<int64_t>(REAL(timestamp)[0]);
  if (Rf_xlength(timestamp) != 1) throw Problem("type", metric(key, "timestamp must be one time"));
  return checked_time(timestamp, 0, key, "blocks[0].timestamps_ms[0]");
}

std::vector<std::pair<std::string, std::string>> pairs_of(SEXP values, const char* what) {
  std::vector<std::pair<std::string, std::string>> found;
  if (values == R_NilValue) return found;
  std::vector<std::string> keys = texts(Rf_getAttrib(values, R_NamesSymbol), what);
  std::vector<std::string> listed = texts(values, what);
  for (size_t i = 0; i < listed.size(); i++) found.emplace_back(i < keys.size() ? keys[i] : "", listed[i]);
  return found;
}

}  // namespace runwire
