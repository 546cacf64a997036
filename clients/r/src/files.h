// What spools ask of the file system. All throw std::system_error when it fails.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace runwire {

// A file that is closed with its owner.
class File {
 public:
  File() = default;
  explicit File(int descriptor) : descriptor_(descriptor) {}
  File(File&& other) noexcept : descriptor_(other.descriptor_) { other.descriptor_ = -1; }
  File& operator=(File&& other) noexcept;
  ~File() { close(); }

  static File open(const std::string& path, int flags);

  bool is_open() const { return descriptor_ >= 0; }
  int descriptor() const { return descriptor_; }
  void close();
  // Reads up to `size` bytes from a place.
  std::string read(uint64_t at, size_t size) const;
  uint64_t size() const;
  // Writes all of it, or leaves the file cut off at that place.
  void write_whole(const std::string& data, uint64_t at) const;
  void sync() const;

 private:
  int descriptor_ = -1;
};

// Throws what errno says of `what`.
[[noreturn]] void failed(const std::string& what);

bool exists(const std::string& path);
bool is_folder(const std::string& path);

// Makes a folder and those above it, for the user alone.
void make_folders(const std::string& path);

// The names in a folder, sorted.
std::vector<std::string> names_in(const std::string& folder);

std::string read_file(const std::string& path);
void write_file(const std::string& path, const std::string& data, bool sync);

}  // namespace runwire
