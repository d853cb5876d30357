// Writing model files, and the facts of the format (model_layout.hpp).

#include <algorithm>
#include <cstring>
#include <set>

#include "base/atomic_file.hpp"
#include "base/sha256.hpp"
#include "network/model_layout.hpp"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "model files are little-endian and are copied byte for byte"
#endif

namespace pylstm {
namespace {

struct DtypeFacts {
  const char* name;
  std::size_t size;
};

// In the order of FileDtype.
constexpr DtypeFacts kDtypes[] = {{"F64", 8}, {"F32", 4}, {"BF16", 2}, {"I64", 8}, {"I32", 4}, {"I8", 1}, {"U8", 1}};

constexpr std::size_t kChunkBytes = std::size_t{1} << 18;

[[noreturn]] void refuse(const std::string& reason) { throw std::invalid_argument(reason); }

void check_tensors(const std::vector<ModelTensorView>& tensors) {
  if (tensors.size() >= kMaxTensors) {
    refuse("tensors must be at most 4095, got " + std::to_string(tensors.size()));
  }
  std::set<std::string> seen = {kDigestName, kMetadataKey};
  for (const ModelTensorView& tensor : tensors) {
    check_name<std::invalid_argument>(tensor.name, "tensor");
    if (!seen.insert(tensor.name).second) {
      refuse("the name " + printable(tensor.name) + " of a tensor is reserved or occurs twice");
    }
    const auto in_range = [](std::int64_t extent) { return extent >= 0 && extent <= kMaxExtent; };
    if (tensor.shape.size() > kMaxRank || !std::all_of(tensor.shape.begin(), tensor.shape.end(), in_range) ||
        !byte_count(tensor.dtype, tensor.shape)) {
      refuse("tensor " + printable(tensor.name) +
             " must have at most 4 dimensions, each below 2^31, and less than 2^63 bytes");
    }
  }
}

JsonValue metadata_json(ModelMetadata metadata) {
  const auto [version, added] = metadata.emplace(kFormatKey, kFormatVersion);
  if (!added && version->second != kFormatVersion) {
    refuse("metadata \"pylstm_format\" must be \"" + std::string(kFormatVersion) + "\", got " +
           printable(version->second));
  }
  JsonValue::Object members;
  for (const auto& [key, value] : metadata) {
    check_name<std::invalid_argument>(key, "metadata entry");
    members.push_back({key, value});
  }
  return members;
}

// The bytes before the data, for tensors that follow each other and the digest after them.
std::string front_of(const ModelMetadata& metadata, const std::vector<ModelTensorView>& tensors) {
  JsonValue::Object header;
  header.push_back({kMetadataKey, metadata_json(metadata)});
  std::int64_t end = 0;
  const auto add = [&](const std::string& name, FileDtype dtype, const std::vector<std::int64_t>& shape) {
    const std::int64_t begin = end;
    end += static_cast<std::int64_t>(*byte_count(dtype, shape));
    header.push_back({name, JsonValue::Object{{"dtype", dtype_name(dtype)},
                                              {"shape", JsonValue::Array(shape.begin(), shape.end())},
                                              {"data_offsets", JsonValue::Array{begin, end}}}});
  };
  for (const ModelTensorView& tensor : tensors) add(tensor.name, tensor.dtype, tensor.shape);
  add(kDigestName, FileDtype::u8, {kDigestBytes});

  std::string text = to_json(header);
  const std::size_t used = (kLengthBytes + text.size()) % kDataAlignment;
  if (used > 0) text.append(kDataAlignment - used, ' ');
  if (text.size() > kMaxHeaderBytes) {
    refuse("metadata and names of tensors must fit into 1048576 bytes of header, got " + std::to_string(text.size()));
  }
  std::string front;
  for (std::size_t i = 0; i < kLengthBytes; ++i) {
    front += static_cast<char>(static_cast<std::uint64_t>(text.size()) >> 8 * i & 0xff);
  }
  return front + text;
}

// Hashes and writes the same copy of the bytes, since their owner may change them meanwhile.
class HashingWriter {
 public:
  explicit HashingWriter(AtomicFile& file) : file_(file), chunk_(kChunkBytes) {}

  void write(const void* data, std::size_t size) {
    const auto* from = static_cast<const std::byte*>(data);
    while (size > 0) {
      const std::size_t taken = std::min(size, chunk_.size() - used_);
      std::memcpy(chunk_.data() + used_, from, taken);
      used_ += taken;
      from += taken;
      size -= taken;
      if (used_ == chunk_.size()) flush();
    }
  }

  // Writes what is left and then the digest of everything.
  void finish() {
    flush();
    const Sha256Digest digest = hash_.finish();
    file_.write(digest.data(), digest.size());
  }

 private:
  void flush() {
    hash_.update(chunk_.data(), used_);
    file_.write(chunk_.data(), used_);
    used_ = 0;
  }

  AtomicFile& file_;
  Sha256 hash_;
  std::vector<std::byte> chunk_;
  std::size_t used_ = 0;
};

}  // namespace

std::size_t item_size(FileDtype dtype) noexcept { return kDtypes[static_cast<std::size_t>(dtype)].size; }

const char* dtype_name(FileDtype dtype) noexcept { return kDtypes[static_cast<std::size_t>(dtype)].name; }

std::optional<FileDtype> dtype_of(std::string_view name) noexcept {
  for (std::size_t i = 0; i < std::size(kDtypes); ++i) {
    if (name == kDtypes[i].name) return static_cast<FileDtype>(i);
  }
  return std::nullopt;
}

bool is_valid_name(std::string_view name) noexcept {
  const auto is_printable = [](char c) { return c >= 0x20 && c < 0x7f; };
  return !name.empty() && name.size() <= kMaxNameLength && std::all_of(name.begin(), name.end(), is_printable);
}

std::optional<std::uint64_t> byte_count(FileDtype dtype, const std::vector<std::int64_t>& shape) noexcept {
  constexpr std::uint64_t kLimit = (std::uint64_t{1} << 63) - 1;
  std::uint64_t bytes = item_size(dtype);
  bool is_empty = false;
  for (const std::int64_t extent : shape) {
    const auto factor = static_cast<std::uint64_t>(std::max<std::int64_t>(extent, 1));
    if (bytes > kLimit / factor) return std::nullopt;
    bytes *= factor;
    is_empty = is_empty || extent == 0;
  }
  return is_empty ? 0 : bytes;
}

void write_model_file(const std::string& path, const ModelMetadata& metadata,
                      const std::vector<ModelTensorView>& tensors) {
  check_tensors(tensors);
  std::vector<ModelTensorView> sorted = tensors;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return item_size(a.dtype) > item_size(b.dtype); });
  const std::string front = front_of(metadata, sorted);

  AtomicFile file(path);
  HashingWriter out(file);
  out.write(front.data(), front.size());
  for (const ModelTensorView& tensor : sorted) {
    out.write(tensor.data, static_cast<std::size_t>(*byte_count(tensor.dtype, tensor.shape)));
  }
  out.finish();
  file.commit();
}

}  // namespace pylstm
