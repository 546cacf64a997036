// What R calls: rules, ids, digests, and other small things that C++ knows.
#include <chrono>
#include <random>
#include <thread>

#include "arguments.h"
#include "frames.h"
#include "held.h"
#include "ids.h"
#include "local.h"
#include "rules.h"

using runwire::guarded;
using runwire::interruptible;
using runwire::Problem;
using runwire::time_at;
using runwire::user_interrupted;

// How a call failed, of its code's number and the bytes of its details.
// [[Rcpp::export(rng = false)]]
SEXP read_status(int code, std::string message, SEXP details) {
  return runwire::make_failure(runwire::read_failure(code, message, runwire::bytes(details, "details")));
}

// [[Rcpp::export(rng = false)]]
SEXP local_server(std::string folder, double timeout) {
  return interruptible([&] { return runwire::make_text(runwire::find_local_server(folder, timeout, user_interrupted)); });
}

// What a heartbeat of these runs says: serialised requests.
// [[Rcpp::export(rng = false)]]
SEXP heartbeat_requests(SEXP run_ids) {
  return guarded([&] { return runwire::make_raws(runwire::heartbeats(runwire::texts(run_ids, "run ids"))); });
}

// [[Rcpp::export(rng = false)]]
std::string mint_id() { return runwire::new_id(); }

// A number drawn evenly from 0 to another. R's own generator is left as it is: what a user seeds must not depend on how
// often a server was away, and workers of one seed must not all come back at once.
// [[Rcpp::export(rng = false)]]
double draw(double most) {
  std::random_device source;
  return std::uniform_real_distribution<double>(0, most)(source);
}

// Sleeps so many seconds. R's own sleep looks for interrupts, but not for limits of time.
// [[Rcpp::export(rng = false)]]
SEXP rest(double seconds) {
  return interruptible([&]() -> SEXP {
    using Clock = std::chrono::steady_clock;
    auto end = Clock::now() + std::chrono::duration<double>(seconds);
    do {
      std::this_thread::sleep_until(std::min<Clock::time_point>(
          Clock::now() + std::chrono::milliseconds(50), std::chrono::time_point_cast<Clock::duration>(end)));
      if (user_interrupted()) throw runwire::Interruption();
    } while (Clock::now() < end);
    return R_NilValue;
  });
}

// Texts in one encoding. Bytes that are no text stay as they are, as NA does.
// [[Rcpp::export(rng = false)]]
SEXP utf8_texts(SEXP texts) {
  runwire::Kept found(Rf_shallow_duplicate(texts));
  for (R_xlen_t i = 0; i < Rf_xlength(texts); i++) {
    SEXP one = STRING_ELT(texts, i);
    if (one != NA_STRING) SET_STRING_ELT(found, i, runwire::make_string(runwire::utf8(one, "")));
  }
  return found;
}

// The digits of bit64's integers, which R knows nothing of while bit64 is not loaded.
// [[Rcpp::export(rng = false)]]
SEXP integer64_texts(SEXP values) {
  runwire::Kept found(Rf_allocVector(STRSXP, Rf_xlength(values)));
  for (R_xlen_t i = 0; i < Rf_xlength(values); i++) {
    std::optional<int64_t> one = runwire::integer64_at(values, i);
    SET_STRING_ELT(found, i, runwire::make_string(one ? std::to_string(*one) : "NA"));
  }
  Rf_setAttrib(found, R_NamesSymbol, Rf_getAttrib(values, R_NamesSymbol));
  return found;
}

// The first 16 hex digits of a SHA-256.
// [[Rcpp::export(rng = false)]]
std::string digest16(SEXP data) {
  return runwire::to_hex(runwire::sha256(runwire::bytes(data, "data"))).substr(0, 16);
}

// Checks a text by one of the server's rules; NULL, or a problem.
// [[Rcpp::export(rng = false)]]
SEXP check_text(std::string rule, SEXP value, std::string field) {
  return guarded([&]() -> SEXP {
    std::string given = runwire::text(value, field.c_str());
    if (rule == "run_id") runwire::rules::run_id(given);
    if (rule == "experiment_id") runwire::rules::experiment_id(given);
    if (rule == "key") runwire::rules::key(given, field);
    if (rule == "name") runwire::rules::name(given, field);
    return R_NilValue;
  });
}

// [[Rcpp::export(rng = false)]]
SEXP check_length(SEXP value, double least, double most, std::string field) {
  return guarded([&]() -> SEXP {
    runwire::rules::length(runwire::text(value, field.c_str()), static_cast<size_t>(least),
                           static_cast<size_t>(most), field);
    return R_NilValue;
  });
}

// [[Rcpp::export(rng = false)]]
SEXP check_pairs(SEXP values, std::string field, bool params) {
  return guarded([&]() -> SEXP {
    runwire::rules::pairs(runwire::pairs_of(values, field.c_str()), field,
                          params ? runwire::rules::kMostParam : runwire::rules::kMostTag);
    return R_NilValue;
  });
}

// A time of a run as unix ms.
// [[Rcpp::export(rng = false)]]
SEXP check_time(SEXP value, std::string field) {
  return guarded([&]() -> SEXP {
    if (Rf_xlength(value) != 1) throw Problem("type", field + " must be one time");
    int64_t found = time_at(value, 0, field);
    runwire::rules::time(found, field);
    return Rf_ScalarReal(static_cast<double>(found));
  });
}

// The steps first, first + stride ...
// [[Rcpp::export(rng = false)]]
SEXP regular_steps(SEXP first, SEXP stride, double count) {
  return guarded([&] {
    int64_t start = runwire::integer(first, "first"), distance = runwire::integer(stride, "stride");
    std::vector<int64_t> found(static_cast<size_t>(count));
    for (size_t i = 0; i < found.size(); i++) found[i] = start + distance * static_cast<int64_t>(i);
    return runwire::make_integers(found.data(), found.size());
  });
}
