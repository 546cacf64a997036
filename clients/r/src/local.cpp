// Finds the server that has a folder open; starting one is Python's part.
#include "local.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "files.h"
#include "json.h"
#include "problem.h"

namespace runwire {

namespace {

constexpr std::chrono::milliseconds kPoll{20};
// Opening a folder takes a server less, or it never ends.
constexpr double kPatience = 10;

Problem no_server(const std::string& folder, const std::string& why) {
  return Problem("UNAVAILABLE", folder + " " + why);
}

// Whether a server holds the folder's lock.
bool is_owned(const std::string& folder) {
  int descriptor = ::open((folder + "/runwire.lock").c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return false;
  File held(descriptor);
  if (::flock(descriptor, LOCK_SH | LOCK_NB) != 0) return errno == EWOULDBLOCK;
  ::flock(descriptor, LOCK_UN);
  return false;
}

}  // namespace

std::string find_local_server(const std::string& given, double patience, const Interrupted& interrupted) {
  char* real = ::realpath(given.c_str(), nullptr);
  if (real == nullptr) throw no_server(given, "is no folder: start a server there with `runwire server --data-dir " + given + "`");
  std::string folder = real;
  std::free(real);
  int descriptor = ::open((folder + "/start.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) throw no_server(folder, "can not be used");
  File start(descriptor);
  auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(std::min(patience, kPatience));
  while (::flock(descriptor, LOCK_SH | LOCK_NB) != 0) {
    if (std::chrono::steady_clock::now() > end) {
      throw no_server(folder, "is being opened by another process, which does not end");
    }
    if (interrupted()) throw Interruption();
    std::this_thread::sleep_for(kPoll);
  }
  // Tells a server that wants to leave that somebody is about to call.
  ::futimens(descriptor, nullptr);
  std::string address;
  if (is_owned(folder)) {
    int pointer = ::open((folder + "/server.json").c_str(), O_RDONLY | O_CLOEXEC);
    File file(pointer);
    if (pointer >= 0) address = json_string(file.read(0, file.size()), "address");
  }
  ::flock(descriptor, LOCK_UN);
  if (address.empty()) throw no_server(folder, "has no server: start one with `runwire server --data-dir " + folder + "`");
  if (address.compare(0, 11, "runwires://") == 0) {
    throw no_server(folder, "is served with TLS: use the address " + address +
                                " with its certificate (RUNWIRE_TRACKING_URI, RUNWIRE_TLS_CA)");
  }
  if (address.compare(0, 10, "runwire://") == 0) address = address.substr(10);
  return address;
}

}  // namespace runwire
