// The JSON parser: recursive descent, depth and number of values bounded, nothing lenient.

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <locale>
#include <sstream>

#include "network/json.hpp"

namespace pylstm {
namespace {

constexpr std::size_t kMaxNumberLength = 64;  // no double needs more than 24 characters

// Bytes of the UTF-8 sequence at the start of `text`, 0 if it is none. Overlong forms, surrogates
// and code points above U+10FFFF are none (Unicode 15, table 3-7).
std::size_t utf8_sequence(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) -> unsigned {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto follows = [&](std::size_t i, unsigned low = 0x80, unsigned high = 0xbf) {
    return byte(i) >= low && byte(i) <= high;
  };
  const unsigned lead = byte(0);
  if (text.empty()) return 0;
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return follows(1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    const bool second = follows(1, lead == 0xe0 ? 0xa0 : 0x80, lead == 0xed ? 0x9f : 0xbf);
    return second && follows(2) ? 3 : 0;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    const bool second = follows(1, lead == 0xf0 ? 0x90 : 0x80, lead == 0xf4 ? 0x8f : 0xbf);
    return second && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

void append_utf8(std::string& out, std::uint32_t code) {
  const auto put = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | code >> 6);
    put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3f));
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  }
}

class Parser {
 public:
  Parser(std::string_view text, JsonLimits limits) : text_(text), limits_(limits) {}

  JsonValue document() {
    JsonValue value = this->value(0);
    skip_space();
    if (at_ != text_.size()) fail("expected the end of the text");
    return value;
  }

 private:
  [[noreturn]] void fail(const std::string& reason) const {
    throw JsonError("invalid JSON at byte " + std::to_string(at_) + ": " + reason);
  }

  char peek() const noexcept { return at_ < text_.size() ? text_[at_] : '\0'; }

  bool accept(char c) noexcept {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  void expect(char c) {
    if (!accept(c)) fail(std::string("expected '") + c + "'");
  }

  void skip_space() noexcept {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) {
      ++at_;
    }
  }

  // `depth` is the number of arrays and objects around the value.
  JsonValue value(int depth) {
    skip_space();
    if (++values_ > limits_.values) {
      fail("more than " + std::to_string(limits_.values) + " values");
    }
    const char c = peek();
    if (c == '{' || c == '[') {
      if (depth >= limits_.depth) fail("nested deeper than " + std::to_string(limits_.depth));
      return c == '{' ? JsonValue(object(depth + 1)) : JsonValue(array(depth + 1));
    }
    if (c == '"') return string();
    if (c == '-' || (c >= '0' && c <= '9')) return number();
    if (accept_word("true")) return true;
    if (accept_word("false")) return false;
    if (accept_word("null")) return nullptr;
    fail("expected a value");
  }

  bool accept_word(std::string_view word) noexcept {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  JsonValue::Array array(int depth) {
    JsonValue::Array items;
    expect('[');
    skip_space();
    if (accept(']')) return items;
    do {
      items.push_back(value(depth));
      skip_space();
    } while (accept(','));
    expect(']');
    return items;
  }

  JsonValue::Object object(int depth) {
    JsonValue::Object members;
    expect('{');
    skip_space();
    if (accept('}')) return members;
    do {
      skip_space();
      std::string key = string();
      skip_space();
      expect(':');
      members.push_back({std::move(key), value(depth)});
      skip_space();
    } while (accept(','));
    expect('}');
    reject_duplicates(members);
    return members;
  }

  // Sorted, so that a hostile file of many keys costs n log n.
  void reject_duplicates(const JsonValue::Object& members) const {
    std::vector<std::string_view> keys;
    keys.reserve(members.size());
    for (const JsonMember& member : members) keys.push_back(member.key);
    std::sort(keys.begin(), keys.end());
    const auto twice = std::adjacent_find(keys.begin(), keys.end());
    if (twice != keys.end()) fail("the object before has the key " + printable(*twice) + " twice");
  }

  std::string string() {
    expect('"');
    std::string out;
    while (!accept('"')) {
      if (at_ == text_.size()) fail("a string is not closed");
      if (accept('\\')) {
        escape(out);
        continue;
      }
      if (static_cast<unsigned char>(text_[at_]) < 0x20) fail("a control character in a string");
      const std::size_t length = utf8_sequence(text_.substr(at_));
      if (length == 0) fail("a string is not UTF-8");
      out.append(text_, at_, length);
      at_ += length;
    }
    return out;
  }

  void escape(std::string& out) {
    constexpr std::string_view kNames = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    if (accept('u')) return append_utf8(out, escaped_code_point());
    const std::size_t which = kNames.find(peek());
    if (at_ == text_.size() || which == std::string_view::npos) fail("an unknown escape");
    out += kMeanings[which];
    ++at_;
  }

  std::uint32_t escaped_code_point() {
    const std::uint32_t first = four_hex_digits();
    if (first < 0xd800 || first > 0xdfff) return first;
    if (first > 0xdbff || !accept('\\') || !accept('u')) fail("a lone surrogate");
    const std::uint32_t second = four_hex_digits();
    if (second < 0xdc00 || second > 0xdfff) fail("a lone surrogate");
    return 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
  }

  std::uint32_t four_hex_digits() {
    std::uint32_t code = 0;
    const char* begin = text_.data() + at_;
    const char* end = begin + std::min<std::size_t>(4, text_.size() - at_);
    const auto [stop, error] = std::from_chars(begin, end, code, 16);
    if (error != std::errc() || stop != begin + 4) fail("\\u needs four hexadecimal digits");
    at_ += 4;
    return code;
  }

  std::size_t digits() noexcept {
    const std::size_t start = at_;
    while (peek() >= '0' && peek() <= '9') ++at_;
    return at_ - start;
  }

  JsonValue number() {
    const std::size_t start = at_;
    accept('-');
    if (!accept('0') && digits() == 0) fail("a number without digits");
    bool is_integer = true;
    if (accept('.')) {
      is_integer = false;
      if (digits() == 0) fail("a number without digits after the point");
    }
    if (accept('e') || accept('E')) {
      is_integer = false;
      if (!accept('+')) accept('-');
      if (digits() == 0) fail("a number without digits in its exponent");
    }
    const std::string_view token = text_.substr(start, at_ - start);
    if (token.size() > kMaxNumberLength) fail("a number of more than 64 characters");

    std::int64_t integer = 0;
    const auto parsed = std::from_chars(token.data(), token.data() + token.size(), integer);
    if (is_integer && parsed.ec == std::errc()) return integer;
    return floating(token);
  }

  // By a stream because it does not depend on the process's locale and, unlike from_chars for
  // double, every standard library has it.
  JsonValue floating(std::string_view token) const {
    std::istringstream in{std::string(token)};
    in.imbue(std::locale::classic());
    double value = 0;
    in >> value;
    // The token is a number: a stream can only refuse its size, and libc++'s does so of denormals too.
    const bool is_tiny = std::abs(value) < std::numeric_limits<double>::min();
    if ((in.fail() && !is_tiny) || !std::isfinite(value)) fail("a number out of the range of a double");
    return value;
  }

  std::string_view text_;
  JsonLimits limits_;
  std::size_t at_ = 0;
  std::size_t values_ = 0;
};

}  // namespace

JsonValue parse_json(std::string_view text, JsonLimits limits) { return Parser(text, limits).document(); }

bool is_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    const std::size_t length = utf8_sequence(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace pylstm
