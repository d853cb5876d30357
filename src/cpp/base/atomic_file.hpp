// Binary files that are read whole (InputFile) or replaced whole (AtomicFile).
//
// A path is in the encoding of the file system: any bytes on POSIX, UTF-8 on Windows.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <system_error>

namespace pylstm {

// A call of the operating system failed; code() is an errno in std::generic_category().
class FileError : public std::system_error {
 public:
  FileError(int error, std::string path);
  const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

class InputFile {
 public:
  // Opens a regular file. Never blocks on a pipe. Throws FileError (EISDIR for a folder, EINVAL for
  // anything else that is not a regular file).
  explicit InputFile(const std::string& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  std::uint64_t size() const noexcept { return size_; }  // when it was opened

  // Reads the next `size` bytes and returns how many there were: fewer only at the end of the file.
  std::size_t read(void* data, std::size_t size);

 private:
  std::string path_;
  std::uint64_t size_ = 0;
  int fd_ = -1;
};

// A new content for `path`, which keeps its old content (or stays absent) until commit() returns.
//
// The bytes go to a temporary file in the same folder. Without a commit the destructor removes it;
// what a killed process left behind is removed by a later AtomicFile in that folder. On POSIX a
// symbolic link is followed, also to a file that is not there yet. An existing file's permission
// bits are kept, a write-protected file is refused.
class AtomicFile {
 public:
  explicit AtomicFile(const std::string& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, std::size_t size);  // throws FileError
  // To the disk, then into place; throws FileError. Nothing may follow it. If only the folder's own write to the disk
  // fails, the new content is in place already, but may be gone after a crash of the system.
  void commit();

 private:
  std::string path_;       // as given, for messages
  std::string target_;     // path_ with a symbolic link resolved
  std::string temporary_;  // empty once it has been renamed
  int fd_ = -1;
};

}  // namespace pylstm
