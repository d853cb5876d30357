// Reading model files; writing is model_file_write.cpp.

#include "network/model_file.hpp"

#include <cstring>
#include <limits>
#include <new>
#include <optional>
#include <string_view>

#include "base/atomic_file.hpp"
#include "base/sha256.hpp"
#include "network/model_layout.hpp"

namespace pylstm {
namespace {

constexpr int kHeaderDepth = 16;
constexpr std::size_t kForeignPadding = 8;  // what every safetensors writer keeps to

[[noreturn]] void refuse(const std::string& reason) { throw ModelFileError(reason); }

void read_exactly(InputFile& input, void* to, std::size_t size) {
  if (input.read(to, size) != size) refuse("it became shorter while it was read");
}

std::string count_of(std::uint64_t count, const char* what) { return std::to_string(count) + " " + what; }

// The bytes before the data: the length of the header and the header.
std::string read_front(InputFile& input) {
  const std::uint64_t file_size = input.size();
  if (file_size < kLengthBytes) {
    refuse("it has " + count_of(file_size, "bytes") + ", too few for a model file");
  }
  unsigned char raw[kLengthBytes];
  read_exactly(input, raw, kLengthBytes);
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i) length |= std::uint64_t{raw[i]} << 8 * i;

  if (length > kMaxHeaderBytes) {
    const std::string_view start(reinterpret_cast<const char*>(raw), 4);
    if (start == "PK\x03\x04") refuse("it is not a safetensors file but a zip archive, as .keras and .pt files are");
    if (start == "\x89HDF") refuse("it is not a safetensors file but one of HDF5, as .h5 files are");
    refuse("it is not a safetensors file: its first 8 bytes are not the length of a header (at most 1048576), got " +
           std::to_string(length));
  }
  if (length > file_size - kLengthBytes) {
    refuse("it is cut short: a header of " + count_of(length, "bytes") + " in a file of " + std::to_string(file_size));
  }
  std::string front(reinterpret_cast<const char*>(raw), kLengthBytes);
  front.resize(kLengthBytes + length);
  read_exactly(input, front.data() + kLengthBytes, length);
  if (length == 0 || front[kLengthBytes] != '{') {
    refuse("its header is not a JSON object; it is not a safetensors file");
  }
  return front;
}

ModelMetadata read_metadata(const JsonView& header) {
  const std::optional<JsonView> entries = header.find(kMetadataKey);
  ModelMetadata metadata;
  if (entries) {
    for (std::size_t i = 0; i < entries->size(); ++i) {
      check_name<ModelFileError>(entries->key(i), "metadata entry");
      metadata[entries->key(i)] = entries->at(i).as_string();
    }
  }
  const auto version = metadata.find(kFormatKey);
  if (version == metadata.end()) {
    refuse(
        "it is a safetensors file of another program, not a pylstm model (its metadata has no "
        "\"pylstm_format\")");
  }
  if (version->second != kFormatVersion) {
    refuse("its format is version " + printable(version->second) + "; this pylstm reads version \"" + kFormatVersion +
           "\": a newer pylstm may be needed");
  }
  return metadata;
}

// Adds the tensors that the header describes, still without data, checked to fill `data_size` bytes
// exactly and in order. Returns the length of each.
std::vector<std::uint64_t> read_tensors(const JsonView& header, std::uint64_t data_size,
                                        std::vector<ModelTensor>& tensors) {
  std::vector<std::uint64_t> lengths;
  std::uint64_t end = 0;
  for (std::size_t i = 0; i < header.size(); ++i) {
    if (header.key(i) == kMetadataKey) continue;
    check_name<ModelFileError>(header.key(i), "tensor");
    if (tensors.size() == kMaxTensors) refuse("it has more than 4096 tensors");

    const JsonView entry = header.at(i);
    const JsonView dtype = entry.at("dtype"), shape = entry.at("shape");
    const JsonView offsets = entry.at("data_offsets");
    if (entry.size() != 3) entry.fail("an object of dtype, shape and data_offsets only");

    ModelTensor tensor;
    tensor.name = header.key(i);
    const std::optional<FileDtype> known = dtype_of(dtype.as_string());
    if (!known) dtype.fail("one of F64, F32, BF16, I64, I32, I8, U8");
    tensor.dtype = *known;

    if (shape.size() > kMaxRank || shape.is_object()) shape.fail("an array of at most 4 integers");
    for (std::size_t d = 0; d < shape.size(); ++d) {
      tensor.shape.push_back(shape.at(d).as_int(0, kMaxExtent));
    }
    const std::optional<std::uint64_t> length = byte_count(tensor.dtype, tensor.shape);
    if (!length) shape.fail("a shape of less than 2^63 bytes");

    if (offsets.is_object() || offsets.size() != 2) offsets.fail("an array of 2 integers");
    const auto begin = static_cast<std::uint64_t>(offsets.at(0).as_int(0));
    const auto stop = static_cast<std::uint64_t>(offsets.at(1).as_int(0));
    if (begin != end || stop < begin || stop - begin != *length) {
      refuse(offsets.path() + " must be [" + std::to_string(end) + ", " + std::to_string(end + *length) +
             "] for this dtype and shape, got [" + std::to_string(begin) + ", " + std::to_string(stop) + "]");
    }
    if (stop > data_size) {
      refuse("it is cut short or wrong: tensor " + printable(tensor.name) + " ends at byte " + std::to_string(stop) +
             " of " + count_of(data_size, "bytes of data"));
    }
    end = stop;
    lengths.push_back(*length);
    tensors.push_back(std::move(tensor));
  }
  if (end != data_size) {
    refuse("it has " + count_of(data_size - end, "bytes") + " after its last tensor");
  }
  return lengths;
}

// Whether the tensors end with the digest. A file that may have been saved again by another tool
// can have it anywhere or not at all; the name is reserved in any case.
bool find_digest(const std::vector<ModelTensor>& tensors, bool verify) {
  for (const ModelTensor& tensor : tensors) {
    if (tensor.name != kDigestName) continue;
    if (tensor.dtype != FileDtype::u8 || tensor.shape != std::vector<std::int64_t>{kDigestBytes}) {
      refuse("its tensor \"sha256\" must be U8 of shape [32]");
    }
    if (!verify || &tensor == &tensors.back()) return true;
    refuse(
        "its tensor \"sha256\" must be the last one; was the file saved again by another tool? "
        "load_model(verify=False) reads it unchecked");
  }
  if (verify) {
    refuse(
        "it has no tensor \"sha256\" to be checked against; was it saved again by another tool? "
        "load_model(verify=False) reads it unchecked");
  }
  return false;
}

ModelFile read_checked(InputFile& input, bool verify) {
  if (input.size() > static_cast<std::uint64_t>(std::numeric_limits<std::ptrdiff_t>::max())) {
    throw std::bad_alloc();
  }
  const std::string front = read_front(input);
  ModelFile file;
  std::vector<std::uint64_t> lengths;
  {
    JsonLimits limits;
    limits.depth = kHeaderDepth;
    const JsonValue document = parse_json(std::string_view(front).substr(kLengthBytes), limits);
    const JsonView header(document, "");
    file.metadata = read_metadata(header);
    const std::size_t padding = verify ? kDataAlignment : kForeignPadding;
    if (front.size() % padding != 0) {
      refuse("its data must start at a multiple of " + count_of(padding, "bytes") + ", got byte " +
             std::to_string(front.size()));
    }
    lengths = read_tensors(header, input.size() - front.size(), file.tensors);
  }
  const bool has_digest = find_digest(file.tensors, verify);

  Sha256 hash;
  if (verify) hash.update(front.data(), front.size());
  for (std::size_t i = 0; i < file.tensors.size(); ++i) {
    std::vector<std::byte>& data = file.tensors[i].data;
    data.resize(static_cast<std::size_t>(lengths[i]));
    read_exactly(input, data.data(), data.size());
    if (verify && i + 1 < file.tensors.size()) hash.update(data.data(), data.size());
  }
  if (verify) {
    const Sha256Digest digest = hash.finish();
    if (std::memcmp(digest.data(), file.tensors.back().data.data(), digest.size()) != 0) {
      refuse(
          "its SHA-256 digest does not match: it was damaged or altered after pylstm saved it; "
          "load_model(verify=False) reads it unchecked");
    }
  }
  for (std::size_t i = 0; has_digest && i < file.tensors.size(); ++i) {
    if (file.tensors[i].name == kDigestName) {
      file.tensors.erase(file.tensors.begin() + static_cast<std::ptrdiff_t>(i));
      break;
    }
  }
  return file;
}

}  // namespace

ModelFile read_model_file(const std::string& path, bool verify) {
  const std::string subject = "cannot read the model file '" + (is_utf8(path) ? path : printable(path)) + "': ";
  InputFile input(path);
  try {
    return read_checked(input, verify);
  } catch (const ModelFileError& error) {
    throw ModelFileError(subject + error.what());
  } catch (const JsonError& error) {
    throw ModelFileError(subject + "its header is wrong: " + error.what());
  }
}

}  // namespace pylstm
