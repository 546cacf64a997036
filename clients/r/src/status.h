// How a call ended, with the details that a Runwire server sends along.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace runwire {

struct Failure {
  // In one place, and not compiled once more by each source that has one.
  Failure();
  Failure(const Failure& other);
  Failure(Failure&& other) noexcept;
  Failure& operator=(const Failure& other);
  Failure& operator=(Failure&& other) noexcept;
  ~Failure();

  // Name of the gRPC status code, such as NOT_FOUND; OK if nothing failed.
  std::string code = "OK";
  std::string message;
  // Name of the ErrorReason; empty if the failure carried none.
  std::string reason;
  std::vector<std::pair<std::string, std::string>> metadata;
  // Fields that break a rule, each with the rule.
  std::vector<std::pair<std::string, std::string>> violations;
  // Seconds after which a repeat may help.
  std::optional<double> retry_delay;

  bool ok() const { return code == "OK"; }
  // Whether gRPC or a proxy said this, there being no server that could.
  bool unreachable() const { return code == "UNAVAILABLE" && reason.empty(); }
  const std::string* fact(const std::string& key) const;
};

// Makes a failure of a status and its details (a serialised google.rpc.Status, or empty). Details that can not
// be read are left out: the code alone still says what happened.
Failure read_failure(int code, const std::string& message, const std::string& details);

}  // namespace runwire
