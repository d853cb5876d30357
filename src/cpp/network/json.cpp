// JsonView and the writer; the parser is json_parser.cpp.

#include "network/json.hpp"

#include <limits>
#include <locale>
#include <sstream>

namespace pylstm {
namespace {

constexpr std::size_t kPrintableLength = 64;
constexpr char kHex[] = "0123456789abcdef";

std::string number_text(double value) {
  constexpr double kHuge = std::numeric_limits<double>::max();
  if (!(value >= -kHuge && value <= kHuge)) {
    throw JsonError("JSON holds finite numbers only, got nan or an infinity");
  }
  // 17 digits identify any double, 15 are enough for most that people write.
  std::string text;
  for (int digits = 15; digits <= 17; ++digits) {
    std::ostringstream out;
    out.imbue(std::locale::classic());
    out.precision(digits);
    out << value;
    text = out.str();
    std::istringstream in(text);
    in.imbue(std::locale::classic());
    double back = 0;
    if (in >> back && back == value) break;
  }
  // A double must not come back as an integer.
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

void write_string(std::string_view text, std::string& out) {
  if (!is_utf8(text)) throw JsonError("JSON strings are UTF-8, got " + printable(text));
  out += '"';
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (code < 0x20) {
      out += "\\u00";
      out += kHex[code >> 4];
      out += kHex[code & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

struct Writer {
  std::string& out;

  void operator()(std::nullptr_t) { out += "null"; }
  void operator()(bool value) { out += value ? "true" : "false"; }
  void operator()(std::int64_t value) { out += std::to_string(value); }
  void operator()(double value) { out += number_text(value); }
  void operator()(const std::string& value) { write_string(value, out); }
  void operator()(const JsonValue::Array& array) {
    char separator = '[';
    for (const JsonValue& value : array) {
      out += separator;
      std::visit(*this, value.data());
      separator = ',';
    }
    out += array.empty() ? "[]" : "]";
  }
  void operator()(const JsonValue::Object& object) {
    char separator = '{';
    for (const JsonMember& member : object) {
      out += separator;
      write_string(member.key, out);
      out += ':';
      std::visit(*this, member.value.data());
      separator = ',';
    }
    out += object.empty() ? "{}" : "}";
  }
};

// What a message says came instead of what was expected.
struct Description {
  std::string operator()(std::nullptr_t) const { return "null"; }
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(std::int64_t value) const { return std::to_string(value); }
  std::string operator()(double value) const { return number_text(value); }
  std::string operator()(const std::string& value) const { return printable(value); }
  std::string operator()(const JsonValue::Array& array) const { return "an array of " + std::to_string(array.size()); }
  std::string operator()(const JsonValue::Object&) const { return "an object"; }
};

// A key as a path shows it: bare when it is a plain name.
std::string shown(std::string_view key) {
  const bool plain = !key.empty() && key.size() <= kPrintableLength &&
                     key.find_first_not_of(
                         "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                         "0123456789_/-") == std::string_view::npos;
  return plain ? std::string(key) : printable(key);
}

std::string member_path(const std::string& path, std::string_view key) {
  return path.empty() ? shown(key) : path + "." + shown(key);
}

}  // namespace

std::string to_json(const JsonValue& value) {
  std::string out;
  std::visit(Writer{out}, value.data());
  return out;
}

std::string printable(std::string_view text) {
  std::string out = "\"";
  for (const char c : text.substr(0, kPrintableLength)) out += c >= 0x20 && c < 0x7f ? c : '?';
  out += text.size() > kPrintableLength ? "...\"" : "\"";
  return out;
}

void JsonView::fail(const std::string& expected) const {
  throw JsonError(path_ + " must be " + expected + ", got " + std::visit(Description{}, value_->data()));
}

bool JsonView::is_null() const noexcept { return std::holds_alternative<std::nullptr_t>(value_->data()); }

bool JsonView::is_object() const noexcept { return std::holds_alternative<JsonValue::Object>(value_->data()); }

bool JsonView::as_bool() const {
  const bool* value = std::get_if<bool>(&value_->data());
  if (value == nullptr) fail("true or false");
  return *value;
}

std::int64_t JsonView::as_int(std::int64_t low, std::int64_t high) const {
  const std::int64_t* value = std::get_if<std::int64_t>(&value_->data());
  if (value != nullptr && *value >= low && *value <= high) return *value;
  if (low == kMinInt && high == kMaxInt) fail("an integer");
  if (high == kMaxInt) fail("an integer of at least " + std::to_string(low));
  fail("an integer from " + std::to_string(low) + " to " + std::to_string(high));
}

double JsonView::as_double() const {
  if (const auto* integer = std::get_if<std::int64_t>(&value_->data())) {
    return static_cast<double>(*integer);
  }
  const double* value = std::get_if<double>(&value_->data());
  if (value == nullptr) fail("a number");
  return *value;
}

const std::string& JsonView::as_string() const {
  const auto* value = std::get_if<std::string>(&value_->data());
  if (value == nullptr) fail("a string");
  return *value;
}

const JsonValue::Object& JsonView::members() const {
  const auto* object = std::get_if<JsonValue::Object>(&value_->data());
  if (object == nullptr) fail("an object");
  return *object;
}

std::size_t JsonView::size() const {
  if (const auto* array = std::get_if<JsonValue::Array>(&value_->data())) return array->size();
  if (!is_object()) fail("an array or an object");
  return members().size();
}

JsonView JsonView::at(std::size_t index) const {
  if (index >= size()) {
    throw JsonError(path_ + " must have more than " + std::to_string(index) + " entries, got " +
                    std::to_string(size()));
  }
  if (is_object()) return {members()[index].value, member_path(path_, members()[index].key)};
  return {std::get<JsonValue::Array>(value_->data())[index], path_ + "[" + std::to_string(index) + "]"};
}

const std::string& JsonView::key(std::size_t index) const { return members().at(index).key; }

std::optional<JsonView> JsonView::find(std::string_view key) const {
  for (const JsonMember& member : members()) {
    if (member.key == key) return JsonView(member.value, member_path(path_, key));
  }
  return std::nullopt;
}

JsonView JsonView::at(std::string_view key) const {
  std::optional<JsonView> found = find(key);
  if (!found) throw JsonError(member_path(path_, key) + " is missing");
  return *std::move(found);
}

bool JsonView::bool_or(std::string_view key, bool fallback) const {
  const std::optional<JsonView> found = find(key);
  return found ? found->as_bool() : fallback;
}

double JsonView::double_or(std::string_view key, double fallback) const {
  const std::optional<JsonView> found = find(key);
  return found ? found->as_double() : fallback;
}

std::string JsonView::string_or(std::string_view key, std::string fallback) const {
  const std::optional<JsonView> found = find(key);
  return found ? found->as_string() : std::move(fallback);
}

}  // namespace pylstm
