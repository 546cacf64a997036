#include "files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "segments.h"

namespace runwire {

void failed(const std::string& what) { throw std::system_error(errno, std::generic_category(), what); }

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

bool is_folder(const std::string& path) {
  struct stat found;
  return ::stat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode);
}

void make_folders(const std::string& path) {
  for (size_t at = path.find('/', 1);; at = path.find('/', at + 1)) {
    std::string part = path.substr(0, at);
    if (::mkdir(part.c_str(), 0700) != 0 && !is_folder(part)) failed(part);
    if (at == std::string::npos) return;
  }
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> found;
  DIR* open = ::opendir(folder.c_str());
  if (open == nullptr) failed(folder);
  while (dirent* one = ::readdir(open)) found.push_back(one->d_name);
  ::closedir(open);
  std::sort(found.begin(), found.end());
  return found;
}

std::string read_file(const std::string& path) {
  File file = File::open(path, O_RDONLY);
  return file.read(0, file.size());
}

void write_file(const std::string& path, const std::string& data, bool sync) {
  File file = File::open(path, O_RDWR | O_CREAT | O_TRUNC);
  file.write_whole(data, 0);
  if (sync) file.sync();
}

}  // namespace runwire
