// What spools ask of the file system. All throw std::system_error when it fails.
#pragma once

#include <string>
#include <vector>

namespace runwire {

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
