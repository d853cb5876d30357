// Model files: what was written is read, and what was cut, damaged or made to deceive is refused.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <iterator>
#include <stdexcept>
#include <vector>

#include "base/sha256.hpp"
#include "file_laws.hpp"
#include "network/model_file.hpp"

namespace pylstm::test {
namespace {

using namespace std::string_literals;

// Tensors of any dtype and rank, in the order in which they are written: wider elements first.
struct Sample {
  ModelMetadata metadata = {{"config", "{\"layers\": [\"\\u00e9\"]}"}, {"text", "\xc3\xa9\n\0\"\\"s}, {"empty", ""}};
  std::vector<ModelTensorView> tensors = {{"lstm/kernel", FileDtype::f32, {2, 1, 3}},
                                          {"a b", FileDtype::f64, {5}},
                                          {"scalar", FileDtype::i64, {}},
                                          {"none", FileDtype::i32, {3, 0, 7}},
                                          {"half", FileDtype::bf16, {3}},
                                          {"bytes", FileDtype::u8, {1, 1, 1, 7}},
                                          {"signed", FileDtype::i8, {2}},
                                          {"~", FileDtype::i32, {1}}};
  std::vector<std::vector<unsigned char>> data;

  Sample() {
    unsigned value = 0;
    for (ModelTensorView& tensor : tensors) {
      std::size_t size = item_size(tensor.dtype);
      for (const std::int64_t extent : tensor.shape) size *= static_cast<std::size_t>(extent);
      data.emplace_back();
      for (std::size_t i = 0; i < size; ++i) data.back().push_back(static_cast<unsigned char>(value += 37));
    }
    for (std::size_t i = 0; i < data.size(); ++i) tensors[i].data = data[i].empty() ? nullptr : data[i].data();
  }
};

bool is_intact(const ModelFile& file, const Sample& sample) {
  ModelMetadata metadata = sample.metadata;
  metadata["pylstm_format"] = "1";
  if (file.metadata != metadata || file.tensors.size() != sample.tensors.size()) return false;
  std::vector<std::size_t> order;
  for (const std::size_t width : {8U, 4U, 2U, 1U}) {
    for (std::size_t i = 0; i < sample.tensors.size(); ++i)
      if (item_size(sample.tensors[i].dtype) == width) order.push_back(i);
  }
  for (std::size_t i = 0; i < order.size(); ++i) {
    const ModelTensor& got = file.tensors[i];
    const ModelTensorView& want = sample.tensors[order[i]];
    const std::vector<unsigned char>& bytes = sample.data[order[i]];
    if (got.name != want.name || got.dtype != want.dtype || got.shape != want.shape) return false;
    if (got.data.size() != bytes.size()) return false;
    if (!bytes.empty() && std::memcmp(got.data.data(), bytes.data(), bytes.size()) != 0) return false;
  }
  return true;
}

// Whether a file of these bytes is refused as it should be: by ModelFileError and nothing else.
bool is_refused(const std::string& path, std::string_view bytes, bool verify, const char* part = "cannot read") {
  put_bytes(path, bytes);
  return refused<ModelFileError>([&] { read_model_file(path, verify); }, part);
}

void what_was_written_is_read(const std::string& path, const Sample& sample) {
  write_model_file(path, sample.metadata, sample.tensors);
  const std::string bytes = bytes_of(path);
  for (const bool verify : {true, false})
    PYLSTM_EXPECT(is_intact(read_model_file(path, verify), sample), "a file reads otherwise, verify ", verify);
  const ModelFile file = read_model_file(path);
  std::vector<ModelTensorView> tensors;
  for (const ModelTensor& t : file.tensors) tensors.push_back({t.name, t.dtype, t.shape, t.data.data()});
  write_model_file(path, file.metadata, tensors);
  PYLSTM_EXPECT(bytes_of(path) == bytes, "what was read is written otherwise");
  Sha256 hash;
  hash.update(bytes.data(), bytes.size() - 32);
  const Sha256Digest digest = hash.finish();
  PYLSTM_EXPECT(std::memcmp(digest.data(), bytes.data() + bytes.size() - 32, 32) == 0,
                "a file does not end with the digest");
  write_model_file(path, {}, {});
  PYLSTM_EXPECT(read_model_file(path).tensors.empty() && read_model_file(path).metadata.size() == 1, "an empty file");
}

// Where data begin.
std::size_t front_of(const std::string& bytes) {
  std::size_t length = 0;
  for (std::size_t i = 0; i < 8; ++i) length |= static_cast<std::size_t>(static_cast<unsigned char>(bytes[i])) << 8 * i;
  return 8 + length;
}

std::string data_of(const ModelFile& file) {
  std::string all;
  for (const ModelTensor& t : file.tensors) all.append(reinterpret_cast<const char*>(t.data.data()), t.data.size());
  return all;
}

// Every byte that is missing or too much is noticed, and with the digest every bit that differs.
void damage_is_noticed(const std::string& path, const Sample& sample) {
  write_model_file(path, sample.metadata, sample.tensors);
  const std::string bytes = bytes_of(path);
  const std::size_t front = front_of(bytes);
  const std::string data = bytes.substr(front, bytes.size() - front - 32);
  PYLSTM_EXPECT(front % 64 == 0, "data begin at byte ", front);
  for (const bool verify : {true, false}) {
    for (std::size_t length = 0; length < bytes.size(); ++length)
      PYLSTM_EXPECT(is_refused(path, bytes.substr(0, length), verify), "the first ", length, " bytes are read, verify ",
                    verify);
    PYLSTM_EXPECT(is_refused(path, bytes + '\0', verify, "after its last tensor"), "a byte more is read");
  }
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ 1 << bit % 8);
    const bool digest = bit / 8 >= front;  // nothing else shows damage of data
    PYLSTM_EXPECT(is_refused(path, damaged, true, digest ? "SHA-256" : "cannot read"), "bit ", bit, " is not guarded");
    ModelFile file;
    const bool wrong = refused<ModelFileError>([&] { file = read_model_file(path, false); });
    if (digest) {
      PYLSTM_EXPECT(!wrong && data_of(file) == damaged.substr(front, data.size()), "unverified, bit ", bit,
                    " reads otherwise");
      continue;
    }
    // A header that still describes the data may call them by other names.
    const std::string read = data_of(file);
    PYLSTM_EXPECT(wrong || read == data || read == bytes.substr(front), "unverified, bit ", bit,
                  " of the header changes data");
    for (const ModelTensor& t : file.tensors) {
      std::size_t size = item_size(t.dtype);
      for (const std::int64_t extent : t.shape) size *= static_cast<std::size_t>(extent);
      PYLSTM_EXPECT(t.data.size() == size, "unverified, bit ", bit, ": a tensor of ", t.data.size(), " bytes");
    }
  }
}

// A file of this header and `data` zeros, with the digest that belongs to it.
std::string made(std::string header, std::size_t data, std::size_t align = 64) {
  header.append((align - (8 + header.size()) % align) % align, ' ');
  std::string bytes;
  for (std::size_t i = 0; i < 8; ++i) bytes += static_cast<char>(header.size() >> 8 * i & 255);
  bytes += header + std::string(data, '\0');
  Sha256 hash;
  hash.update(bytes.data(), bytes.size());
  const Sha256Digest digest = hash.finish();
  return bytes.append(reinterpret_cast<const char*>(digest.data()), digest.size());
}

std::string tensor(const std::string& name, const std::string& dtype, const std::string& shape, std::uint64_t begin,
                   std::uint64_t end) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":[" +
         std::to_string(begin) + "," + std::to_string(end) + "]}";
}

// Headers that lie have a digest that is right: it shows damage, not who wrote a file.
void headers_are_not_trusted(const std::string& path) {
  const std::string format = R"({"__metadata__":{"pylstm_format":"1"},)", w = tensor("w", "F32", "[2,3]", 0, 24);
  const auto digest = [](std::uint64_t begin) { return tensor("sha256", "U8", "[32]", begin, begin + 32) + "}"; };
  const std::string good = made(format + w + "," + digest(24), 24);
  PYLSTM_EXPECT(!is_refused(path, good, true, "") && read_model_file(path).tensors.size() == 1,
                "a good file is refused");
  struct Lie {
    std::string bytes;
    const char* says;
  };
  const Lie lies[] = {
      {made(format + tensor("w", "F32", "[1099511627776]", 0, 4398046511104) + "," + digest(4398046511104), 24),
       "from 0 to 2147483647"},
      {made(format + tensor("w", "F64", "[2147483647,2147483647]", 0, 24) + "," + digest(24), 24), "2^63"},
      {made(format + tensor("w", "F64", "[0,2147483647,2147483647]", 0, 0) + "," + digest(0), 0), "2^63"},
      {made(format + tensor("w", "F32", "[1073741824]", 0, 4294967296) + "," + digest(4294967296), 24), "cut short"},
      {made(format + tensor("w", "F32", "[-2,-3]", 0, 24) + "," + digest(24), 24), "from 0 to"},
      {made(format + tensor("w", "F32", "[1,1,1,2,3]", 0, 24) + "," + digest(24), 24), "at most 4"},
      {made(format + tensor("w", "F32", "[2,3]", 8, 32) + "," + digest(24), 24), "must be [0, 24]"},
      {made(format + w + "," + tensor("v", "F32", "[2,3]", 0, 24) + "," + digest(24), 24), "must be [24, 48]"},
      {made(format + tensor("w", "F32", "[2,3]", 0, 23) + "," + digest(24), 24), "must be [0, 24]"},
      {made(format + w + "," + digest(25), 25), "must be [24, 56]"},
      {made(format + tensor("w", "F16", "[2,3]", 0, 12) + "," + digest(12), 12), "must be one of"},
      {made(format + w + "," + w + "," + digest(24), 24), "twice"},
      {made(format + tensor("\\u0000", "F32", "[2,3]", 0, 24) + "," + digest(24), 24), "name of a tensor"},
      {made(format + "\"w\":[]," + digest(0), 0), "w must be an object"},
      {made(format + w + "," + tensor("sha256", "I8", "[32]", 24, 56) + "}", 24), "must be U8"},
      {made(R"({"__metadata__":{"pylstm_format":"2"},)" + w + "," + digest(24), 24), "version \"2\""},
      {made(R"({"__metadata__":{"pylstm_format":1},)" + w + "," + digest(24), 24), "must be a string"},
      {made("{" + w + "," + digest(24), 24), "another program"},
      {made("[]", 0), "JSON object"},
      {"\xff\xff\xff\xff\xff\xff\xff\xff" + good.substr(8), "at most 1048576"},
      {std::string("PK\x03\x04") + std::string(60, 'x'), "zip"},
  };
  for (const Lie& lie : lies) {
    for (const bool verify : {true, false})
      PYLSTM_EXPECT(is_refused(path, lie.bytes, verify, lie.says), "read, or refused otherwise: ", lie.says);
  }
  // What another tool may have saved again is read unverified alone.
  const std::string first =
      made(format + tensor("sha256", "U8", "[32]", 0, 32) + "," + tensor("w", "F32", "[2,3]", 32, 56) + "}", 24);
  const std::string without = made(format + tensor("w", "U8", "[32]", 0, 32) + "}", 0);
  const std::string loose = made(format + w + "," + digest(24) + "        ", 24, 8);
  for (const std::string& saved : {first, without, loose})
    PYLSTM_EXPECT(is_refused(path, saved, true) && !is_refused(path, saved, false, "") &&
                      read_model_file(path, false).tensors.size() == 1,
                  "a file that was saved again");
}

// The writer refuses, before it touches a file, what the reader would.
void writer_refuses(const std::string& path) {
  const unsigned char zeros[8] = {};
  const auto one = [&](std::string name, std::vector<std::int64_t> shape) {
    return std::vector<ModelTensorView>{{std::move(name), FileDtype::f32, std::move(shape), zeros}};
  };
  const std::vector<ModelTensorView> twice = {{"w", FileDtype::u8, {1}, zeros}, {"w", FileDtype::i8, {2}, zeros}};
  std::vector<ModelTensorView> many;
  for (std::size_t i = 0; i < kMaxTensors; ++i) many.push_back({std::to_string(i), FileDtype::u8, {0}, nullptr});
  put_bytes(path, "old");
  const std::function<void()> calls[] = {
      [&] { write_model_file(path, {}, twice); },
      [&] { write_model_file(path, {}, one("sha256", {1})); },
      [&] { write_model_file(path, {}, one("__metadata__", {1})); },
      [&] { write_model_file(path, {}, one("", {1})); },
      [&] { write_model_file(path, {}, one(std::string(257, 'n'), {1})); },
      [&] { write_model_file(path, {}, one("\xc3\xa9", {1})); },
      [&] {
        write_model_file(path, {}, one("w", {1, 1, 1, 1, 1}));
      },
      [&] { write_model_file(path, {}, one("w", {-1})); },
      [&] { write_model_file(path, {}, one("w", {kMaxExtent + 1})); },
      [&] {
        write_model_file(path, {}, one("w", {0, kMaxExtent, kMaxExtent}));
      },
      [&] { write_model_file(path, {}, many); },
      [&] {
        write_model_file(path, {{"pylstm_format", "2"}}, {});
      },
      [&] {
        write_model_file(path, {{"", "x"}}, {});
      },
      [&] {
        write_model_file(path, {{"text", "\xff"}}, {});
      },
      [&] {
        write_model_file(path, {{"text", std::string(kMaxHeaderBytes, 'x')}}, {});
      },
  };
  for (std::size_t i = 0; i < std::size(calls); ++i)
    PYLSTM_EXPECT(refused<std::invalid_argument>(calls[i]) && bytes_of(path) == "old", "write ", i, " is not refused");
  many.pop_back();
  write_model_file(path, {}, many);
  PYLSTM_EXPECT(read_model_file(path).tensors.size() == kMaxTensors - 1, "as many tensors as there may be");
  write_model_file(path, {{"text", std::string(kMaxHeaderBytes - 512, 'x')}}, one(std::string(256, '~'), {2, 1}));
  PYLSTM_EXPECT(read_model_file(path).metadata["text"].size() == kMaxHeaderBytes - 512, "a header of nearly 1 MiB");
}

}  // namespace

void model_file_laws() {
  const Folder folder;
  const std::string path = folder.file("model.safetensors");
  const Sample sample;
  what_was_written_is_read(path, sample);
  damage_is_noticed(path, sample);
  headers_are_not_trusted(path);
  writer_refuses(path);
  PYLSTM_EXPECT(folder.entries() == 1, "files of models left ", folder.entries(), " files");
}

}  // namespace pylstm::test
