#include "status.h"

#include "wire.h"

namespace runwire {

namespace {

const char* const kCodes[] = {"OK",
                              "CANCELLED",
                              "UNKNOWN",
                              "INVALID_ARGUMENT",
                              "DEADLINE_EXCEEDED",
                              "NOT_FOUND",
                              "ALREADY_EXISTS",
                              "PERMISSION_DENIED",
                              "RESOURCE_EXHAUSTED",
                              "FAILED_PRECONDITION",
                              "ABORTED",
                              "OUT_OF_RANGE",
                              "UNIMPLEMENTED",
                              "INTERNAL",
                              "UNAVAILABLE",
                              "DATA_LOSS",
                              "UNAUTHENTICATED"};

// A message whose fields 1 and 2 are texts: a map's entry, a field violation.
std::pair<std::string, std::string> read_pair(std::string_view data) {
  std::pair<std::string, std::string> found;
  WireReader reader(data);
  while (reader.next()) {
    if (reader.field == 1) found.first = reader.text();
    if (reader.field == 2) found.second = reader.text();
  }
  return found;
}

bool read_error_info(std::string_view data, Failure& failure) {
  std::string reason, domain;
  std::vector<std::pair<std::string, std::string>> metadata;
  WireReader reader(data);
  while (reader.next()) {
    if (reader.field == 1) reason = reader.text();
    if (reader.field == 2) domain = reader.text();
    if (reader.field == 3) metadata.push_back(read_pair(reader.bytes));
  }
  if (reader.good() && domain == "runwire") {
    failure.reason = reason;
    failure.metadata = metadata;
  }
  return reader.good();
}

bool read_bad_request(std::string_view data, Failure& failure) {
  WireReader reader(data);
  while (reader.next()) {
    if (reader.field == 1) failure.violations.push_back(read_pair(reader.bytes));
  }
  return reader.good();
}

bool read_retry_info(std::string_view data, Failure& failure) {
  WireReader reader(data);
  while (reader.next()) {
    if (reader.field != 1) continue;
    double seconds = 0;
    WireReader delay(reader.bytes);
    while (delay.next()) {
      if (delay.field == 1) seconds += static_cast<double>(delay.integer());
      if (delay.field == 2) seconds += static_cast<double>(delay.integer()) / 1e9;
    }
    if (!delay.good()) return false;
    failure.retry_delay = seconds;
  }
  return reader.good();
}

bool read_detail(std::string_view data, Failure& failure) {
  std::string type;
  std::string_view value;
  WireReader any(data);
  while (any.next()) {
    if (any.field == 1) type = any.text();
    if (any.field == 2) value = any.bytes;
  }
  if (!any.good()) return false;
  type = type.substr(type.rfind('/') + 1);
  if (type == "google.rpc.ErrorInfo") return read_error_info(value, failure);
  if (type == "google.rpc.BadRequest") return read_bad_request(value, failure);
  if (type == "google.rpc.RetryInfo") return read_retry_info(value, failure);
  return true;
}

bool read_details(const std::string& details, Failure& failure) {
  WireReader reader(details);
  while (reader.next()) {
    if (reader.field == 3 && !read_detail(reader.bytes, failure)) return false;
  }
  return reader.good();
}

}  // namespace

Failure::Failure() = default;
Failure::Failure(const Failure& other) = default;
Failure::Failure(Failure&& other) noexcept = default;
Failure& Failure::operator=(const Failure& other) = default;
Failure& Failure::operator=(Failure&& other) noexcept = default;
Failure::~Failure() = default;

const std::string* Failure::fact(const std::string& key) const {
  for (const auto& entry : metadata) {
    if (entry.first == key) return &entry.second;
  }
  return nullptr;
}

Failure read_failure(int code, const std::string& message, const std::string& details) {
  Failure plain;
  plain.code = code >= 0 && code <= 16 ? kCodes[code] : "UNKNOWN";
  plain.message = message;
  Failure rich = plain;
  return read_details(details, rich) ? rich : plain;
}

}  // namespace runwire
