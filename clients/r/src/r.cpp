#include "r.h"

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

}  // namespace

bool is_integer64(SEXP value) { return TYPEOF(value) == REALSXP && Rf_inherits(value, "integer64"); }

std::string utf8(SEXP charsxp, const char* what) {
  if (charsxp == NA_STRING) throw Problem("type", std::string(what) + " must not be NA");
  const char* found = Rf_getCharCE(charsxp) == CE_BYTES ? CHAR(charsxp) : Rf_translateCharUTF8(charsxp);
  return std::string(found);
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

SEXP make_string(const std::string& value) {
  return Rf_mkCharLenCE(value.data(), static_cast<int>(value.size()), CE_UTF8);
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
        int64_t bits;
        std::memcpy(&bits, &found, sizeof bits);
        if (bits == INT64_MIN) throw Problem("type", what + " must not be NA");
        return bits;
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
    Rcpp::Shield<SEXP> found(Rf_allocVector(REALSXP, count));
    for (size_t i = 0; i < count; i++) REAL(found)[i] = static_cast<double>(numbers[i]);
    return found;
  }
  Rcpp::Shield<SEXP> found(Rf_allocVector(STRSXP, count));
  for (size_t i = 0; i < count; i++) SET_STRING_ELT(found, i, make_string(std::to_string(numbers[i])));
  return found;
}

namespace {

SEXP make_pairs(const std::vector<std::pair<std::string, std::string>>& pairs) {
  Rcpp::Shield<SEXP> found(Rf_allocVector(STRSXP, pairs.size()));
  Rcpp::Shield<SEXP> names(Rf_allocVector(STRSXP, pairs.size()));
  for (size_t i = 0; i < pairs.size(); i++) {
    SET_STRING_ELT(names, i, make_string(pairs[i].first));
    SET_STRING_ELT(found, i, make_string(pairs[i].second));
  }
  Rf_setAttrib(found, R_NamesSymbol, names);
  return found;
}

SEXP one_string(const std::string& value) { return Rf_ScalarString(Rcpp::Shield<SEXP>(make_string(value))); }

}  // namespace

SEXP make_failure(const Failure& failure) {
  Rcpp::List found = Rcpp::List::create(
      Rcpp::Named("code") = one_string(failure.code), Rcpp::Named("message") = one_string(failure.message),
      Rcpp::Named("reason") = one_string(failure.reason),
      Rcpp::Named("metadata") = make_pairs(failure.metadata),
      Rcpp::Named("violations") = make_pairs(failure.violations),
      Rcpp::Named("retry_delay") =
          failure.retry_delay ? Rcpp::RObject(Rcpp::wrap(*failure.retry_delay)) : Rcpp::RObject(R_NilValue));
  found.attr("class") = "runwire_failure";
  return found;
}

SEXP make_problem(const Problem& problem) {
  Rcpp::List found =
      Rcpp::List::create(Rcpp::Named("kind") = problem.kind, Rcpp::Named("message") = one_string(problem.what()),
                         Rcpp::Named("field") = one_string(problem.field));
  found.attr("class") = "runwire_problem";
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
