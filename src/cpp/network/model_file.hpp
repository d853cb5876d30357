// pylstm's model file: named tensors and text metadata in a valid safetensors file.
//
//   8 bytes  N, the length of the header (little-endian)
//   N bytes  header: JSON, padded with spaces so that the data starts at a multiple of 64 bytes
//   data     the tensors, little-endian, in C order, without gaps, in the order of the header
//
// Metadata "pylstm_format" gives the version of the format. The last tensor is "sha256", U8[32]:
// the SHA-256 of every byte of the file before it. It shows damage; it does not show who wrote the
// file.
//
// Reading trusts nothing: it executes, imports and opens nothing that a file names, and allocates
// at most twice the size of the file plus 16 MB, whatever the header says.

#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace pylstm {

// The file is damaged, foreign, hostile, or of a version that is not known.
class ModelFileError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

enum class FileDtype : std::uint8_t { f64, f32, bf16, i64, i32, i8, u8 };

std::size_t item_size(FileDtype dtype) noexcept;   // bytes of one element
const char* dtype_name(FileDtype dtype) noexcept;  // as in the file: "F64", "BF16", …

// Limits of reader and writer alike; the digest counts as a tensor.
constexpr std::size_t kMaxHeaderBytes = std::size_t{1} << 20;
constexpr std::size_t kMaxTensors = 4096;
constexpr std::size_t kMaxRank = 4;
constexpr std::int64_t kMaxExtent = 2147483647;  // of one dimension
constexpr std::size_t kMaxNameLength = 256;      // printable ASCII; also for keys of metadata

using ModelMetadata = std::map<std::string, std::string>;

struct ModelTensor {
  std::string name;
  FileDtype dtype = FileDtype::f32;
  std::vector<std::int64_t> shape;  // empty for a scalar; a dimension may be 0
  std::vector<std::byte> data;      // C order, aligned as by operator new
};

struct ModelFile {
  ModelMetadata metadata;            // with "pylstm_format"
  std::vector<ModelTensor> tensors;  // in the order of the file, without the digest
};

// A tensor to write; `data` must outlive the call.
struct ModelTensorView {
  std::string name;
  FileDtype dtype = FileDtype::f32;
  std::vector<std::int64_t> shape;
  const void* data = nullptr;  // C order, no alignment needed; may be null when there are no elements
};

// Reads a file. `verify=false` drops the checks that a file saved again by another safetensors tool
// cannot pass (digest, 64-byte padding) and no others.
// Throws ModelFileError, FileError (base/atomic_file.hpp) and std::bad_alloc.
ModelFile read_model_file(const std::string& path, bool verify = true);

// Writes a file, atomically: `path` has its old content until the new one is complete on the disk.
// Tensors of wider elements come first in the file, else the order stays, so that every tensor is
// aligned. "pylstm_format" is added to the metadata; one of another version is refused.
// Throws std::invalid_argument for what the reader would refuse, before anything is written, and
// FileError. The elements may change meanwhile: the digest is of what was written.
void write_model_file(const std::string& path, const ModelMetadata& metadata,
                      const std::vector<ModelTensorView>& tensors);

}  // namespace pylstm
