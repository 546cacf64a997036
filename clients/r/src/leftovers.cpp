#include "leftovers.h"

#include <sys/stat.h>

#include <system_error>

#include "files.h"
#include "problem.h"
#include "spool.h"

namespace runwire {

namespace {

// Larger ones are taken for undelivered without reading them.
constexpr uint64_t kMostRead = 64 * 1024 * 1024;

uint64_t size_of(const std::string& path) {
  struct stat found;
  return ::stat(path.c_str(), &found) == 0 ? static_cast<uint64_t>(found.st_size) : 0;
}

bool is_left(const std::string& folder) {
  try {
    uint64_t size = 0;
    for (const auto& path : segments_in(folder)) size += size_of(path);
    if (size > kMostRead) return !is_held(folder);
    auto spool = Spool::open(folder, kNoLimit);
    bool left = spool->undelivered() > 0 || spool->has_notes();
    spool->close();
    return left;
  } catch (const Held&) {
    return false;
  } catch (const std::system_error&) {
    // Just removed by its owner.
    return false;
  }
}

}  // namespace

std::vector<std::string> find_spools(const std::string& folder) {
  if (!is_folder(folder)) throw Problem("value", "there is no folder " + folder);
  if (is_spool_name(folder.substr(folder.rfind('/') + 1)) || !segments_in(folder).empty()) return {folder};
  std::vector<std::string> found;
  for (const auto& name : names_in(folder)) {
    if (is_spool_name(name) && is_folder(folder + "/" + name)) found.push_back(folder + "/" + name);
  }
  return found;
}

std::string offer(const std::string& root) {
  size_t left = 0;
  for (const auto& folder : find_spools(root)) left += is_left(folder);
  if (left == 0) return "";
  std::string what = left == 1 ? "1 spool holds" : std::to_string(left) + " spools hold";
  return what + " what earlier processes did not deliver; `runwire sync " + root + "` delivers it";
}

}  // namespace runwire
