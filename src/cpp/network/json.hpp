// JSON (RFC 8259): a strict parser into JsonValue, a writer, and JsonView, which reads a value and
// names the path of what is wrong: `config.layers[2].units must be an integer, got "64"`.
//
//   const JsonValue document = parse_json(text);
//   const JsonView config(document, "config");
//   const std::int64_t units = config.at("units").as_int(1, kMaxUnits);
//   const bool use_bias = config.bool_or("use_bias", true);

#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace pylstm {

class JsonError : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

struct JsonMember;

// One value of any kind; strings are UTF-8, objects keep the order of their members.
class JsonValue {
 public:
  using Array = std::vector<JsonValue>;
  using Object = std::vector<JsonMember>;
  using Data = std::variant<std::nullptr_t, bool, std::int64_t, double, std::string, Array, Object>;

  JsonValue() : data_(nullptr) {}
  JsonValue(std::nullptr_t) : data_(nullptr) {}
  JsonValue(bool value) : data_(value) {}
  JsonValue(int value) : data_(std::int64_t{value}) {}
  JsonValue(std::int64_t value) : data_(value) {}
  JsonValue(double value) : data_(value) {}
  JsonValue(const char* value) : data_(std::string(value)) {}
  JsonValue(std::string value) : data_(std::move(value)) {}
  JsonValue(Array value) : data_(std::move(value)) {}
  JsonValue(Object value) : data_(std::move(value)) {}

  const Data& data() const noexcept { return data_; }

 private:
  Data data_;
};

struct JsonMember {
  std::string key;
  JsonValue value;
};

struct JsonLimits {
  int depth = 16;              // arrays and objects within each other
  std::size_t values = 65536;  // of any kind, in all: bounds memory to about 110 bytes a value
};

// The value of a whole text. Throws JsonError, naming the byte, for anything but strict JSON: also
// for duplicate keys, lone surrogates, invalid UTF-8, numbers too large and exceeded limits.
// An integer is kept as int64 if it fits and as a double otherwise.
JsonValue parse_json(std::string_view text, JsonLimits limits = {});

// Compact JSON. Doubles have 15 digits or as many more as they need to read back the same. Throws JsonError
// for a number that is not finite and for a string that is not UTF-8.
std::string to_json(const JsonValue& value);

bool is_utf8(std::string_view text) noexcept;

// `text` in double quotes, fit for a message: at most 64 characters, all printable ASCII.
std::string printable(std::string_view text);

// A place in a JsonValue, which must outlive it. Every accessor throws JsonError with the path.
class JsonView {
 public:
  static constexpr std::int64_t kMinInt = std::numeric_limits<std::int64_t>::min();
  static constexpr std::int64_t kMaxInt = std::numeric_limits<std::int64_t>::max();

  JsonView(const JsonValue& value, std::string path) : value_(&value), path_(std::move(path)) {}
  JsonView(JsonValue&& temporary, std::string path) = delete;

  const std::string& path() const noexcept { return path_; }

  bool is_null() const noexcept;
  bool is_object() const noexcept;

  bool as_bool() const;
  std::int64_t as_int(std::int64_t low = kMinInt, std::int64_t high = kMaxInt) const;
  double as_double() const;  // integers too
  const std::string& as_string() const;

  std::size_t size() const;                         // elements of an array or members of an object
  JsonView at(std::size_t index) const;             // element, or value of a member
  const std::string& key(std::size_t index) const;  // of a member

  JsonView at(std::string_view key) const;  // throws when the key is missing
  std::optional<JsonView> find(std::string_view key) const;

  // The member `key`, or `fallback` when it is missing (null is not missing).
  bool bool_or(std::string_view key, bool fallback) const;
  double double_or(std::string_view key, double fallback) const;
  std::string string_or(std::string_view key, std::string fallback) const;

  // Throws JsonError "<path> must be <expected>, got <the value>".
  [[noreturn]] void fail(const std::string& expected) const;

 private:
  const JsonValue::Object& members() const;

  const JsonValue* value_;
  std::string path_;
};

}  // namespace pylstm
