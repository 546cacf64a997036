#include "r.h"

#include <R_ext/Riconv.h>
#include <Rcpp.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>

namespace runwire {

std::string kind_of(SEXP value) {
  if (value == R_NilValue) return "NULL";
  if (Rf_isObject(value)) return "of the class " + utf8(STRING_ELT(Rf_getAttrib(value, R_ClassSymbol), 0), "a class");
  return Rf_type2char(TYPEOF(value));
}

namespace {

int64_t parse_integer(const std::string& digits, const std::string& what) {
  errno = 0;
  char* end = nullptr;
  long long found = std::strtoll(digits.c_str(), &end, 10);
  bool clean = !digits.empty() && *end == '\0' && (digits[0] == '-' || (digits[0] >= '0' && digits[0] <= '9'));
  if (!clean) throw Problem("type", what + " must be a whole number, not \"" + digits + "\"");
  if (errno == ERANGE) throw Problem("value", what + " must fit in 64 bits, and is " + digits);
  return found;
}

SEXP check_interrupt(void*) {
  R_CheckUserInterrupt();
  return R_NilValue;
}

// Where R is on its way to, while C++ cleans up.
SEXP jump = nullptr;

bool is_ascii(const std::string& value) {
  return std::all_of(value.begin(), value.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// A text of a character set as UTF-8. Bytes that are none of the set's stay as they are, to be taken as UTF-8 or refused
// by who checks: R's own translation would put other characters in their place.
std::string translated(const std::string& value, const char* set) {
  void* converter = Riconv_open("UTF-8", set);
  if (converter == reinterpret_cast<void*>(-1)) return value;
  const char* from = value.data();
  size_t left = value.size(), room = 4 * left;
  std::string found(room, '\0');
  char* to = found.data();
  bool whole = Riconv(converter, &from, &left, &to, &room) != static_cast<size_t>(-1) && left == 0;
  Riconv_close(converter);
  if (!whole) return value;
  found.resize(found.size() - room);
  return found;
}

void set_class(SEXP value, const char* name) { Rf_setAttrib(value, R_ClassSymbol, Kept(Rf_mkString(name))); }

}  // namespace

NamedList::NamedList(size_t size)
    : list_(Rf_allocVector(VECSXP, static_cast<R_xlen_t>(size))),
      names_(Rf_allocVector(STRSXP, static_cast<R_xlen_t>(size))) {
  Rf_setAttrib(list_, R_NamesSymbol, names_);
}

void NamedList::add(const std::string& name, SEXP value) {
  SET_VECTOR_ELT(list_, count_, value);
  SET_STRING_ELT(names_, count_++, make_string(name));
}

bool is_integer64(SEXP value) { return TYPEOF(value) == REALSXP && Rf_inherits(value, "integer64"); }

std::optional<int64_t> integer64_at(SEXP value, R_xlen_t place) {
  int64_t found;
  std::memcpy(&found, REAL(value) + place, sizeof found);
  if (found == INT64_MIN) return std::nullopt;
  return found;
}

std::string utf8(SEXP charsxp, const char* what) {
  if (charsxp == NA_STRING) throw Problem("type", std::string(what) + " must not be NA");
  std::string found = CHAR(charsxp);
  if (is_ascii(found)) return found;
  cetype_t encoding = Rf_getCharCE(charsxp);
  // R takes the one for the other.
  if (encoding == CE_LATIN1) return translated(found, "CP1252");
  return encoding == CE_NATIVE ? translated(found, "") : found;
}

std::string text(SEXP value, const char* what) {
  if (TYPEOF(value) != STRSXP || Rf_xlength(value) != 1) {
    throw Problem("type", std::string(what) + " must be one string, not " +
                              (TYPEOF(value) == STRSXP ? "several or none" : kind_of(value)));
  }
  return utf8(STRING_ELT(value, 0), what);
}

std::vector<std::string> texts(SEXP value, const char* what) {
  std::vector<std::string> found;
  if (value == R_NilValue) return found;
  if (TYPEOF(value) != STRSXP) {
    throw Problem("type", std::string(what) + " must be a character vector, not " + kind_of(value));
  }
  found.reserve(Rf_xlength(value));
  for (R_xlen_t i = 0; i < Rf_xlength(value); i++) found.push_back(utf8(STRING_ELT(value, i), what));
  return found;
}

double number(SEXP value, const char* what) {
  bool is_number = TYPEOF(value) == REALSXP || TYPEOF(value) == INTSXP;
  if (!is_number || Rf_xlength(value) != 1) {
    throw Problem("type", std::string(what) + " must be one number, not " + kind_of(value));
  }
  return Rf_asReal(value);
}

bool flag(SEXP value, const char* what) {
  if (TYPEOF(value) != LGLSXP || Rf_xlength(value) != 1 || LOGICAL(value)[0] == NA_LOGICAL) {
    throw Problem("type", std::string(what) + " must be TRUE or FALSE, not " + kind_of(value));
  }
  return LOGICAL(value)[0] != 0;
}

std::string bytes(SEXP value, const char* what) {
  if (TYPEOF(value) != RAWSXP) throw Problem("type", std::string(what) + " must be raw, not " + kind_of(value));
  return std::string(reinterpret_cast<const char*>(RAW(value)), Rf_xlength(value));
}

SEXP member(SEXP list, const char* name) {
  SEXP names = Rf_getAttrib(list, R_NamesSymbol);
  for (R_xlen_t i = 0; i < Rf_xlength(names); i++) {
    if (std::strcmp(CHAR(STRING_ELT(names, i)), name) == 0) return VECTOR_ELT(list, i);
  }
  return R_NilValue;
}

SEXP make_string(const std::string& value) {
  return Rf_mkCharLenCE(value.data(), static_cast<int>(value.size()), CE_UTF8);
}

SEXP make_text(const std::string& value) { return Rf_ScalarString(Kept(make_string(value))); }

SEXP make_texts(const std::vector<std::string>& values) {
  Kept found(Rf_allocVector(STRSXP, static_cast<R_xlen_t>(values.size())));
  for (size_t i = 0; i < values.size(); i++) SET_STRING_ELT(found, i, make_string(values[i]));
  return found;
}

SEXP make_raw(const std::string& bytes) {
  SEXP found = Rf_allocVector(RAWSXP, static_cast<R_xlen_t>(bytes.size()));
  if (!bytes.empty()) std::memcpy(RAW(found), bytes.data(), bytes.size());
  return found;
}

SEXP make_raws(const std::vector<std::string>& values) {
  Kept found(Rf_allocVector(VECSXP, static_cast<R_xlen_t>(values.size())));
  for (size_t i = 0; i < values.size(); i++) SET_VECTOR_ELT(found, i, make_raw(values[i]));
  return found;
}

int64_t integer_at(SEXP value, R_xlen_t place, const std::string& what) {
  // A class says that the numbers mean something else: days, levels ...
  if (Rf_isObject(value) && !is_integer64(value)) {
    throw Problem("type", what + " must be a whole number, not " + kind_of(value));
  }
  switch (TYPEOF(value)) {
    case INTSXP: {
      int found = INTEGER(value)[place];
      if (found == NA_INTEGER) throw Problem("type", what + " must not be NA");
      return found;
    }
    case REALSXP: {
      double found = REAL(value)[place];
      if (is_integer64(value)) {
        std::optional<int64_t> one = integer64_at(value, place);
        if (!one) throw Problem("type", what + " must not be NA");
        return *one;
      }
      if (R_IsNA(found)) throw Problem("type", what + " must not be NA");
      if (!(found == std::floor(found))) throw Problem("type", what + " must be a whole number");
      if (std::fabs(found) > kExact) {
        throw Problem("value", what + " is a double beyond 2^53, which holds no exact integers: "
                                      "write it as a string, such as \"9007199254740993\"");
      }
      return static_cast<int64_t>(found);
    }
    case STRSXP:
      return parse_integer(utf8(STRING_ELT(value, place), what.c_str()), what);
    default:
      throw Problem("type", what + " must be a whole number, not " + kind_of(value));
  }
}

int64_t integer(SEXP value, const std::string& what) {
  if (Rf_xlength(value) != 1) throw Problem("type", what + " must be one whole number");
  return integer_at(value, 0, what);
}

std::vector<int64_t> integers(SEXP value, const std::string& what) {
  R_xlen_t count = Rf_xlength(value);
  std::vector<int64_t> found(count);
  for (R_xlen_t i = 0; i < count; i++) found[i] = integer_at(value, i, what);
  return found;
}

SEXP make_integers(const int64_t* numbers, size_t count) {
  const int64_t exact = static_cast<int64_t>(kExact);
  bool small = true;
  for (size_t i = 0; i < count && small; i++) small = numbers[i] <= exact && numbers[i] >= -exact;
  if (small) {
    Kept found(Rf_allocVector(REALSXP, count));
    for (size_t i = 0; i < count; i++) REAL(found)[i] = static_cast<double>(numbers[i]);
    return found;
  }
  Kept found(Rf_allocVector(STRSXP, count));
  for (size_t i = 0; i < count; i++) SET_STRING_ELT(found, i, make_string(std::to_string(numbers[i])));
  return found;
}

namespace {

SEXP make_pairs(const std::vector<std::pair<std::string, std::string>>& pairs) {
  Kept found(Rf_allocVector(STRSXP, pairs.size()));
  Kept names(Rf_allocVector(STRSXP, pairs.size()));
  for (size_t i = 0; i < pairs.size(); i++) {
    SET_STRING_ELT(names, i, make_string(pairs[i].first));
    SET_STRING_ELT(found, i, make_string(pairs[i].second));
  }
  Rf_setAttrib(found, R_NamesSymbol, names);
  return found;
}

}  // namespace

SEXP make_failure(const Failure& failure) {
  NamedList found(6);
  found.add("code", make_text(failure.code));
  found.add("message", make_text(failure.message));
  found.add("reason", make_text(failure.reason));
  found.add("metadata", make_pairs(failure.metadata));
  found.add("violations", make_pairs(failure.violations));
  found.add("retry_delay", failure.retry_delay ? Rf_ScalarReal(*failure.retry_delay) : R_NilValue);
  set_class(found, "runwire_failure");
  return found;
}

SEXP make_problem(const Problem& problem) {
  NamedList found(3);
  found.add("kind", make_text(problem.kind));
  found.add("message", make_text(problem.what()));
  found.add("field", make_text(problem.field));
  set_class(found, "runwire_problem");
  return found;
}

bool user_interrupted() {
  try {
    Rcpp::unwindProtect(check_interrupt, nullptr);
    return false;
  } catch (const Rcpp::LongjumpException& stopped) {
    jump = stopped.token;
    return true;
  }
}

void go_on_jumping() {
  Rcpp::LongjumpException stopped(jump);
  jump = nullptr;
  throw stopped;
}

}  // namespace runwire
