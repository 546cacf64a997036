// What a user hands over to be logged, read from R's values. What is wrong throws a Problem that names the metric.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "r.h"

namespace runwire {

// The present, in unix ms.
int64_t now();

// A sentence about a metric.
std::string metric(const std::string& key, const char* what);

double number_at(SEXP value, R_xlen_t place, const std::string& key);

// Times are taken in unix ms, or as R's own times: POSIXct and Date.
int64_t time_at(SEXP value, R_xlen_t place, const std::string& what);
int64_t checked_time(SEXP value, R_xlen_t place, const std::string& key, const std::string& field);

// The one step or time of a point; NULL stands for 0, and for now.
int64_t step_of(SEXP step, const std::string& key);
int64_t time_of(SEXP timestamp, const std::string& key);

// The elements of a named character vector.
std::vector<std::pair<std::string, std::string>> pairs_of(SEXP values, const char* what);

}  // namespace runwire
