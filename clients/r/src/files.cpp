#include "files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace runwire {

void failed(const std::string& what) { throw std::system_error(errno, std::generic_category(), what); }

File& File::operator=(File&& other) noexcept {
  if (this != &other) {
    close();
    descriptor_ = other.descriptor_;
    other.descriptor_ = -1;
  }
  return *this;
}

File File::open(const std::string& path, int flags) {
  int found = ::open(path.c_str(), flags | O_CLOEXEC, 0600);
  if (found < 0) failed(path);
  return File(found);
}

void File::close() {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
}

std::string File::read(uint64_t at, size_t size) const {
  std::string found(size, '\0');
  size_t done = 0;
  while (done < size) {
    ssize_t count = ::pread(descriptor_, &found[done], size - done, static_cast<off_t>(at + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) failed("read");
    if (count == 0) break;
    done += static_cast<size_t>(count);
  }
  found.resize(done);
  return found;
}

uint64_t File::size() const {
  struct stat found;
  if (::fstat(descriptor_, &found) != 0) failed("fstat");
  return static_cast<uint64_t>(found.st_size);
}

void File::write_whole(const std::string& data, uint64_t at) const {
  size_t done = 0;
  while (done < data.size()) {
    ssize_t count = ::pwrite(descriptor_, data.data() + done, data.size() - done, static_cast<off_t>(at + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      int why = errno;
      // What does not fit must leave no part behind; that fails only where the file is gone for good.
      if (::ftruncate(descriptor_, static_cast<off_t>(at)) != 0) errno = why;
      errno = why;
      failed("write");
    }
    done += static_cast<size_t>(count);
  }
}

void File::sync() const {
  if (::fsync(descriptor_) != 0) failed("fsync");
}

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
