#include "telling.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "problem.h"
#include "signals.h"

namespace runwire {

namespace {

std::string code_of(const std::string& reason) {
  if (reason == "EXPERIMENT_NOT_FOUND" || reason == "RUN_NOT_FOUND") return "NOT_FOUND";
  if (reason == "INVALID_FIELD" || reason == "MALFORMED_MESSAGE") return "INVALID_ARGUMENT";
  if (reason == "LIMIT_EXCEEDED" || reason == "MESSAGE_TOO_LARGE") return "RESOURCE_EXHAUSTED";
  if (reason == "RUN_EXISTS") return "ALREADY_EXISTS";
  if (reason == "INTERNAL") return "INTERNAL";
  return "FAILED_PRECONDITION";
}

constexpr char kInMemory[] = ". What was logged last is in memory only";

// The sentence on what waits in the spool, behind another one; empty where nothing does.
std::string waiting(const Left& left) {
  if (left.frames == 0) return "";
  bool one = left.frames == 1;
  return concat({". ", counted(left.frames, "frame"), one ? " waits in " : " wait in ", left.where, "; `runwire sync ",
                 left.where, "` delivers ", one ? "it" : "them", " later"});
}

std::string rest_of(const Left& left) {
  std::string memory = left.stuck.empty() ? "" : concat({kInMemory, ": ", left.stuck});
  return waiting(left) + memory;
}

}  // namespace

void say(const std::string& text) {
  // R's own console functions are for R's thread alone.
  std::string line = concat({"runwire: ", text, "\n"});
  // A message that stderr does not take is not worth a failure. R makes an error of SIGPIPE, which would jump past what
  // is held here.
  SignalsBlocked blocked;
  if (::write(STDERR_FILENO, line.data(), line.size()) >= 0 || errno != EPIPE) return;
  sigset_t broken, pending;
  sigemptyset(&broken);
  sigaddset(&broken, SIGPIPE);
  int taken;
  if (sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1) sigwait(&broken, &taken);
}

std::string with_decimals(double number) {
  char text[64];
  std::snprintf(text, sizeof text, "%.1f", number);
  return text;
}

std::string counted(uint64_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

std::string on_one_line(const std::string& text) {
  std::string found;
  for (char c : text) {
    bool space = c == ' ' || c == '\n' || c == '\t' || c == '\r';
    if (!space) found.push_back(c);
    if (space && !found.empty() && found.back() != ' ') found.push_back(' ');
  }
  return found;
}

std::string told(const Lane& lane) {
  const std::string& folder = lane.spool->folder();
  auto left = static_cast<uint64_t>(lane.spool->undelivered());
  bool one = left == 1;
  return concat({counted(left, "frame"), one ? " is" : " are", " not delivered: ", lane.over->message, " (",
                 lane.over->reason, "). ", one ? "It is" : "They are", " kept in ", folder,
                 "; `runwire sync --as-new-writer ", folder, "` delivers ", one ? "it" : "them"});
}

Failure stuck(const Left& left) {
  Failure found;
  found.code = "RESOURCE_EXHAUSTED";
  found.message = concat({left.stuck, waiting(left), kInMemory});
  found.metadata = {{"spool", left.where}};
  return found;
}

Failure unwritten(const Left& left, double waited) {
  Failure found;
  found.code = "DEADLINE_EXCEEDED";
  found.message =
      concat({"not everything was written to ", left.where, " within ", with_decimals(waited), " s", rest_of(left)});
  found.metadata = {{"spool", left.where}};
  return found;
}

Failure undelivered(const Left& left, const std::string& address, double waited, const std::optional<Failure>& away) {
  std::string rest = rest_of(left);
  Failure found = away ? *away : Failure();
  if (!away) {
    found.code = "DEADLINE_EXCEEDED";
    found.message = concat({"not everything was delivered to ", address, " within ", with_decimals(waited), " s", rest});
    found.metadata = {{"address", address}};
  } else if (found.unreachable()) {
    found.message = concat({"no Runwire server answers at ", address, " (", with_decimals(waited),
                            " s). Start one with `runwire server`, or name another with RUNWIRE_TRACKING_URI", rest,
                            ". gRPC says: ", on_one_line(found.message)});
    found.metadata = {{"address", address}};
  } else {
    // What this side found is no reason of the server's.
    if (found.reason == kNoLocalServer || found.reason == kSpoolFailed) found.reason.clear();
    found.message += rest;
  }
  found.metadata.emplace_back("spool", left.where);
  return found;
}

Failure rejected(const Rejection& first, const std::string& message) {
  Failure found;
  found.code = code_of(first.reason);
  found.message = message;
  found.reason = first.reason;
  found.metadata = first.metadata;
  if (!first.run_id.empty() && found.fact("run_id") == nullptr) found.metadata.emplace_back("run_id", first.run_id);
  if (const std::string* field = found.fact("field")) found.violations.emplace_back(*field, first.message);
  return found;
}

}  // namespace runwire
