// The groups of file_laws: what reads and writes files that anybody may have made.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>

#include "check.hpp"

namespace pylstm::test {

void json_laws();
void model_file_laws();

// A folder of its own, gone with what is in it.
class Folder {
 public:
  Folder() : path_(std::filesystem::temp_directory_path() / ("pylstm_laws_" + std::to_string(std::random_device()()))) {
    std::filesystem::create_directories(path_);
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::string file(const char* name) const { return (path_ / name).string(); }
  auto entries() const {
    return std::distance(std::filesystem::directory_iterator(path_), std::filesystem::directory_iterator());
  }

 private:
  std::filesystem::path path_;
};

inline std::string bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}
inline void put_bytes(const std::string& path, std::string_view bytes) {
  std::filesystem::remove(path);  // to truncate a file may send it to the disk
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

// Whether `call` throws Error, and nothing else, with `part` in its message.
template <class Error, class Call>
bool refused(Call call, const char* part = "") {
  try {
    call();
    return false;
  } catch (const Error& error) {
    return std::string(error.what()).find(part) != std::string::npos;
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace pylstm::test
