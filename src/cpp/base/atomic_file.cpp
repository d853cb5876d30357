#include "base/atomic_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <utility>
#ifdef _WIN32
#include <io.h>
#define NOMINMAX
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#include <sys/file.h>
#include <unistd.h>
#endif

namespace pylstm {
namespace {

// Read and write take at most 2^31 - 1 bytes a call on some systems.
constexpr std::size_t kMaxTransfer = std::size_t{1} << 30;
constexpr int kMaxTemporaries = 1000;  // writers at work in one folder at one time

#ifdef _WIN32
constexpr const char* kSeparators = "/\\";
#else
constexpr const char* kSeparators = "/";
#endif

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.find_last_of(kSeparators);
  return slash == std::string::npos ? std::string() : path.substr(0, slash + 1);
}

#ifdef _WIN32

using FileStatus = struct _stat64;

std::wstring wide(const std::string& path) {
  const int size = static_cast<int>(path.size());
  const int length = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path.data(), size, nullptr, 0);
  std::wstring text(static_cast<std::size_t>(std::max(length, 0)), L'\0');
  MultiByteToWideChar(CP_UTF8, 0, path.data(), size, text.data(), length);
  return text;
}

int open_for_reading(const std::string& path) {
  return _wopen(wide(path).c_str(), _O_RDONLY | _O_BINARY | _O_NOINHERIT);
}
int open_new(const std::string& path) {
  return _wopen(wide(path).c_str(), _O_RDWR | _O_CREAT | _O_EXCL | _O_BINARY | _O_NOINHERIT, _S_IREAD | _S_IWRITE);
}
int close_file(int fd) { return _close(fd); }
int status_of(int fd, FileStatus* status) { return _fstat64(fd, status); }
int status_of(const std::string& path, FileStatus* status) { return _wstat64(wide(path).c_str(), status); }
bool is_folder(const FileStatus& status) { return (status.st_mode & _S_IFMT) == _S_IFDIR; }
bool is_regular(const FileStatus& status) { return (status.st_mode & _S_IFMT) == _S_IFREG; }
bool is_writable(const std::string& path) { return _waccess(wide(path).c_str(), 2) == 0; }
std::ptrdiff_t read_some(int fd, void* data, std::size_t size) { return _read(fd, data, static_cast<unsigned>(size)); }
std::ptrdiff_t write_some(int fd, const void* data, std::size_t size) {
  return _write(fd, data, static_cast<unsigned>(size));
}
int sync_file(int fd) { return _commit(fd); }
void remove_file(const std::string& path) { _wunlink(wide(path).c_str()); }
bool claim(int, const std::string&) { return true; }
// Windows does not delete a file that a live process has open.
bool remove_if_abandoned(const std::string& path) { return _wunlink(wide(path).c_str()) == 0; }
void copy_permissions(int, const FileStatus&) {}
std::string resolve(const std::string& path) { return path; }

#else

using FileStatus = struct stat;

int open_for_reading(const std::string& path) { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); }
int open_new(const std::string& path) { return ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666); }
int close_file(int fd) { return ::close(fd); }
int status_of(int fd, FileStatus* status) { return ::fstat(fd, status); }
int status_of(const std::string& path, FileStatus* status) { return ::stat(path.c_str(), status); }
bool is_folder(const FileStatus& status) { return S_ISDIR(status.st_mode); }
bool is_regular(const FileStatus& status) { return S_ISREG(status.st_mode); }
bool is_writable(const std::string& path) { return ::access(path.c_str(), W_OK) == 0; }
std::ptrdiff_t read_some(int fd, void* data, std::size_t size) { return ::read(fd, data, size); }
std::ptrdiff_t write_some(int fd, const void* data, std::size_t size) { return ::write(fd, data, size); }
int sync_file(int fd) {
#ifdef F_FULLFSYNC  // macOS: fsync alone leaves the bytes in the drive's cache
  if (::fcntl(fd, F_FULLFSYNC) == 0) return 0;
#endif
  return ::fsync(fd);
}
void remove_file(const std::string& path) { ::unlink(path.c_str()); }

bool is_same_file(int fd, const std::string& path) {
  struct stat open_file, named_file;
  return ::fstat(fd, &open_file) == 0 && ::lstat(path.c_str(), &named_file) == 0 &&
         open_file.st_dev == named_file.st_dev && open_file.st_ino == named_file.st_ino;
}

// A writer holds a lock on its temporary file, so that an unlocked one is known to be abandoned.
// False if another writer took this new file for abandoned before it was locked. A file system
// without locks does without.
bool claim(int fd, const std::string& path) {
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) return false;
  return is_same_file(fd, path);
}

// While the lock is held nobody else renames or removes the file that the name was found to mean.
bool remove_if_abandoned(const std::string& path) {
  constexpr int kFlags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
  int fd = ::open(path.c_str(), O_RDWR | kFlags);  // NFS locks no file that is only read
  if (fd < 0 && errno == EACCES) fd = ::open(path.c_str(), O_RDONLY | kFlags);
  if (fd < 0) return false;
  const bool abandoned = ::flock(fd, LOCK_EX | LOCK_NB) == 0 && is_same_file(fd, path) && ::unlink(path.c_str()) == 0;
  ::close(fd);
  return abandoned;
}

void copy_permissions(int fd, const FileStatus& status) {
  // Failing leaves the permissions of a new file, which the umask made safe.
  if (::fchmod(fd, status.st_mode & 0777) != 0) errno = 0;
}

// Where a symbolic link leads, through any further links, whether a file is there or not; the path itself when it is no
// link.
std::string resolve(const std::string& path) {
  constexpr int kMaxLinks = 40;  // as Linux
  std::string name = path;
  for (int links = 0;; ++links) {
    struct stat status;
    if (::lstat(name.c_str(), &status) != 0 || !S_ISLNK(status.st_mode)) return name;
    if (links == kMaxLinks) throw FileError(ELOOP, path);
    std::string target(PATH_MAX, '\0');
    const ssize_t length = ::readlink(name.c_str(), target.data(), target.size());
    if (length < 0) throw FileError(errno, path);
    target.resize(static_cast<std::size_t>(length));
    name = target[0] == '/' ? target : folder_of(name) + target;
  }
}

#endif

[[noreturn]] void fail(const std::string& path) { throw FileError(errno, path); }

// Moves `from` onto `to`. On POSIX the descriptor stays open, and with it the lock.
void replace(const std::string& from, const std::string& to, int& fd, const std::string& path) {
#ifdef _WIN32
  close_file(std::exchange(fd, -1));
  if (MoveFileExW(wide(from).c_str(), wide(to).c_str(), MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH) == 0) {
    const std::error_code error(static_cast<int>(GetLastError()), std::system_category());
    throw FileError(error.default_error_condition().value(), path);
  }
#else
  (void)fd;
  if (::rename(from.c_str(), to.c_str()) != 0) fail(path);
#endif
}

// Makes the rename durable. A folder that cannot be opened for reading, and a file system that
// cannot sync folders, are left to the operating system.
void sync_folder([[maybe_unused]] const std::string& folder, [[maybe_unused]] const std::string& path) {
#ifndef _WIN32
  const int fd = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECTORY);
  if (fd < 0) return;
  const int error = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  if (error == EIO || error == ENOSPC || error == EDQUOT) throw FileError(error, path);
#endif
}

}  // namespace

FileError::FileError(int error, std::string path)
    : std::system_error(error, std::generic_category(), path), path_(std::move(path)) {}

InputFile::InputFile(const std::string& path) : path_(path), fd_(open_for_reading(path)) {
  if (fd_ < 0) fail(path_);
  FileStatus status;
  int error = status_of(fd_, &status) == 0 ? 0 : errno;
  if (error == 0 && is_folder(status)) error = EISDIR;
  if (error == 0 && !is_regular(status)) error = EINVAL;
  if (error != 0) {
    close_file(fd_);
    throw FileError(error, path_);
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
}

InputFile::~InputFile() { close_file(fd_); }

std::size_t InputFile::read(void* data, std::size_t size) {
  std::size_t done = 0;
  while (done < size) {
    const std::ptrdiff_t count = read_some(fd_, static_cast<char*>(data) + done, std::min(size - done, kMaxTransfer));
    if (count == 0) break;
    if (count > 0) {
      done += static_cast<std::size_t>(count);
    } else if (errno != EINTR) {
      fail(path_);
    }
  }
  return done;
}

AtomicFile::AtomicFile(const std::string& path) : path_(path), target_(resolve(path)) {
  FileStatus status;
  const bool exists = status_of(target_, &status) == 0;
  if (!exists && errno != ENOENT) fail(path_);
  if (exists && is_folder(status)) throw FileError(EISDIR, path_);
  if (exists && !is_regular(status)) throw FileError(EINVAL, path_);
  if (exists && !is_writable(target_)) fail(path_);

  const std::string stem = folder_of(target_) + ".pylstm-save-";
  int i = 0;
  for (; fd_ < 0 && i < kMaxTemporaries; ++i) {
    std::string name = stem + std::to_string(i) + ".tmp";
    fd_ = open_new(name);
    if (fd_ < 0 && errno != EEXIST) fail(path_);
    if (fd_ < 0 && remove_if_abandoned(name)) fd_ = open_new(name);
    if (fd_ >= 0 && !claim(fd_, name)) close_file(std::exchange(fd_, -1));
    if (fd_ >= 0) temporary_ = std::move(name);
  }
  if (fd_ < 0) throw FileError(EEXIST, path_);
#ifndef _WIN32  // whose writers close their files a moment before they are done
  while (i < kMaxTemporaries && remove_if_abandoned(stem + std::to_string(i) + ".tmp")) ++i;  // of writers at once
#endif
  if (exists) copy_permissions(fd_, status);
}

AtomicFile::~AtomicFile() {
#ifdef _WIN32  // an open file cannot be removed there
  if (fd_ >= 0) close_file(std::exchange(fd_, -1));
#endif
  if (!temporary_.empty()) remove_file(temporary_);
  if (fd_ >= 0) close_file(fd_);
}

void AtomicFile::write(const void* data, std::size_t size) {
  std::size_t done = 0;
  while (done < size) {
    const std::ptrdiff_t count =
        write_some(fd_, static_cast<const char*>(data) + done, std::min(size - done, kMaxTransfer));
    if (count >= 0) {
      done += static_cast<std::size_t>(count);
    } else if (errno != EINTR) {
      fail(path_);
    }
  }
}

void AtomicFile::commit() {
  while (sync_file(fd_) != 0) {
    if (errno != EINTR) fail(path_);
  }
  replace(temporary_, target_, fd_, path_);
  temporary_.clear();
  sync_folder(folder_of(target_), path_);
}

}  // namespace pylstm
