// What model files stand on: SHA-256, files that are read or replaced whole, and in json_laws.cpp and
// model_file_laws.cpp the readers of text and of files that nobody may trust.
#include "file_laws.hpp"

#include <algorithm>
#include <cerrno>
#include <exception>
#include <vector>

#include "base/atomic_file.hpp"
#include "base/sha256.hpp"

#if defined(__unix__) || defined(__APPLE__)
#include <sys/stat.h>
#include <unistd.h>
#define PYLSTM_POSIX 1
#else
#define PYLSTM_POSIX 0
#endif

namespace pylstm::test {
namespace {

std::string hex(const Sha256Digest& digest) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : digest) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

// The digest of a message that comes in pieces of such a size.
std::string digest_of(std::string_view message, std::size_t piece) {
  Sha256 hash;
  hash.update(nullptr, 0);
  for (std::size_t i = 0; i < message.size(); i += piece) {
    const std::vector<char> part(message.begin() + static_cast<std::ptrdiff_t>(i),
                                 message.begin() + static_cast<std::ptrdiff_t>(std::min(i + piece, message.size())));
    hash.update(part.data(), part.size());  // memory of its own, which ends where it does
  }
  return hex(hash.finish());
}

// Examples of FIPS 180-2, appendix B, and of NIST (SHA256.pdf; SHA2_Additional.pdf has the empty message).
void sha256_known_answers() {
  struct Known {
    std::string message;
    const char* digest;
  };
  const Known answers[] = {
      {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
      {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrst"
       "u",
       "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
      {std::string(1000000, 'a'), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
  };
  for (const Known& known : answers) {
    for (const std::size_t piece : {std::size_t{1} << 20, std::size_t{64}, std::size_t{61}}) {
      const std::string got = digest_of(known.message, piece);
      PYLSTM_EXPECT(got == known.digest, "SHA-256 of ", known.message.size(), " bytes in pieces of ", piece, " is ",
                    got, ", want ", known.digest);
    }
  }
}

// Lengths around the end of a block, where padding takes a block more, each cut everywhere. What all of them come to is
// from Python's hashlib: sha256(b"".join(sha256(bytes(range(n))).digest() for n in range(200))).
void sha256_lengths() {
  Sha256 all;
  std::string message;
  for (int length = 0; length < 200; ++length, message += static_cast<char>(length - 1)) {
    Sha256 whole;
    whole.update(message.data(), message.size());
    const Sha256Digest digest = whole.finish();
    all.update(digest.data(), digest.size());
    for (std::size_t cut = 0; cut <= message.size(); ++cut) {
      Sha256 parts;
      parts.update(message.data(), cut);
      parts.update(message.data() + cut, message.size() - cut);
      PYLSTM_EXPECT(parts.finish() == digest, "SHA-256 of ", length, " bytes, cut at ", cut);
    }
  }
  PYLSTM_EXPECT(hex(all.finish()) == "ba7b0fcea7d10c06b855b43d2b4dce1e3e842fff6be0acefb0faf4f2dd05bb47",
                "SHA-256 of 0 to 199 bytes differs from hashlib");
}

// errno of the FileError that `call` throws, 0 if none.
template <class Call>
int error_of(Call call) {
  try {
    call();
    return 0;
  } catch (const FileError& error) {
    return error.code().value();
  }
}

void put(AtomicFile& file, std::string_view bytes) { file.write(bytes.data(), bytes.size()); }

void files_are_replaced_whole() {
  const Folder folder;
  const std::string path = folder.file("f");
  for (const std::string old : {"", "old"}) {
    if (!old.empty()) put_bytes(path, old);
    {
      AtomicFile abandoned(path);
      put(abandoned, "new");
      PYLSTM_EXPECT(bytes_of(path) == old, "content before a commit is ", bytes_of(path));
    }
    PYLSTM_EXPECT(bytes_of(path) == old && std::filesystem::exists(path) == !old.empty() &&
                      folder.entries() == (old.empty() ? 0 : 1),
                  "without a commit something changed");
  }
  {
    AtomicFile first(path), second(path);
    put(first, "first");
    put(second, "se");
    put(second, "cond");
    second.commit();
    PYLSTM_EXPECT(bytes_of(path) == "second", "after a commit content is ", bytes_of(path));
    first.commit();
    PYLSTM_EXPECT(bytes_of(path) == "first", "two writers share a file: ", bytes_of(path));
  }
  PYLSTM_EXPECT(folder.entries() == 1, "commits left ", folder.entries(), " files");
  put_bytes(folder.file(".pylstm-save-0.tmp"), "of a killed process");
  AtomicFile(path).commit();
  PYLSTM_EXPECT(std::filesystem::exists(path) && bytes_of(path).empty(), "nothing was written, and is not there");
  PYLSTM_EXPECT(folder.entries() == 1, "what a killed process left stays");
}

void files_are_read_whole() {
  const Folder folder;
  const std::string path = folder.file("f");
  put_bytes(path, "0123456789");
  InputFile input(path);
  std::string got(20, '?');
  PYLSTM_EXPECT(input.size() == 10 && input.read(got.data(), 4) == 4 && input.read(got.data() + 4, 16) == 6 &&
                    input.read(got.data() + 10, 1) == 0 && got == "0123456789??????????",
                "read ", got);
}

void what_is_no_file_is_refused() {
  const Folder folder;
  const std::string folder_path = folder.file("."), missing = folder.file("m"), below = folder.file("m/f");
  PYLSTM_EXPECT(error_of([&] { InputFile input(missing); }) == ENOENT, "a missing file is read");
  PYLSTM_EXPECT(error_of([&] { AtomicFile file(below); }) == ENOENT, "a file in a missing folder is written");
  PYLSTM_EXPECT(error_of([&] { AtomicFile file(folder_path); }) == EISDIR, "a folder is written");
#if PYLSTM_POSIX
  PYLSTM_EXPECT(error_of([&] { InputFile input(folder_path); }) == EISDIR, "a folder is read");
  const std::string pipe = folder.file("pipe"), link = folder.file("link"), loop = folder.file("loop");
  PYLSTM_EXPECT(::mkfifo(pipe.c_str(), 0600) == 0, "no pipe to test with");
  PYLSTM_EXPECT(error_of([&] { InputFile input(pipe); }) == EINVAL, "a pipe is read");
  PYLSTM_EXPECT(error_of([&] { AtomicFile file(pipe); }) == EINVAL, "a pipe is written");
  std::filesystem::create_symlink("target", link);
  std::filesystem::create_symlink("loop", loop);
  PYLSTM_EXPECT(error_of([&] { AtomicFile file(loop); }) == ELOOP, "a link to itself is followed");
  AtomicFile through(link);
  put(through, "through");
  through.commit();
  const std::string target = folder.file("target");
  PYLSTM_EXPECT(std::filesystem::is_symlink(link) && bytes_of(target) == "through", "a link is not followed");
  ::chmod(target.c_str(), 0640);
  AtomicFile(target).commit();
  struct stat status;
  PYLSTM_EXPECT(::stat(target.c_str(), &status) == 0 && (status.st_mode & 0777) == 0640, "permissions are not kept");
  ::chmod(target.c_str(), 0440);
  if (::geteuid() != 0)
    PYLSTM_EXPECT(error_of([&] { AtomicFile file(target); }) == EACCES, "a write-protected file is written");
#endif
}

}  // namespace
}  // namespace pylstm::test

int main() {
  using namespace pylstm::test;
  for (void (*laws)() : {sha256_known_answers, sha256_lengths, files_are_replaced_whole, files_are_read_whole,
                         what_is_no_file_is_refused, json_laws, model_file_laws}) {
    try {
      laws();
    } catch (const std::exception& error) {
      PYLSTM_EXPECT(false, "not expected: ", error.what());
    }
  }
  return finish("file_laws");
}
