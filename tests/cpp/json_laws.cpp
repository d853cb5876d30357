// JSON: what the parser takes, what it refuses, and that it reads no byte behind its text.
#include <cmath>
#include <limits>
#include <vector>

#include "base/check.hpp"
#include "file_laws.hpp"
#include "network/json.hpp"

namespace pylstm::test {
namespace {

using namespace std::string_literals;

constexpr char kDocument[] =
    "{\"a\\u00e9\":[1,-2.5e-3,true,false,null,\"\\ud83d\\ude00 \\\\ \xc3\xa9\",{}], \"b\":{\"c\":[[]],\"d\":\"\\n\"}}";

// From memory that ends where the text does.
JsonValue parsed(std::string_view text, JsonLimits limits = {}) {
  const std::vector<char> exact(text.begin(), text.end());
  return parse_json({exact.data(), exact.size()}, limits);
}

bool is_refused(std::string_view text, const char* part = "invalid JSON at byte", JsonLimits limits = {}) {
  return refused<JsonError>([&] { parsed(text, limits); }, part);
}

std::string nested(int depth) {
  return std::string(static_cast<std::size_t>(depth), '[') + std::string(static_cast<std::size_t>(depth), ']');
}

void limits_hold() {
  const JsonLimits few = {3, 5};
  PYLSTM_EXPECT(!is_refused(nested(16), "") && is_refused(nested(17), "deeper than 16"), "depth of 16 arrays");
  PYLSTM_EXPECT(!is_refused(nested(3), "", few) && is_refused(nested(4), "deeper than 3", few), "depth of 3 arrays");
  PYLSTM_EXPECT(!is_refused(R"({"a":{"b":{}}})", "", few) && is_refused(R"({"a":{"b":{"c":[]}}})", "deeper", few),
                "depth of 3 objects");
  PYLSTM_EXPECT(
      is_refused(std::string(1000000, '['), "deeper than 16") && is_refused(std::string(1000000, '{'), "invalid JSON"),
      "a million brackets");
  PYLSTM_EXPECT(!is_refused("[1,2,3,4]", "", few) && is_refused("[1,2,3,4,5]", "more than 5 values", few) &&
                    !is_refused(R"({"a":1,"b":[],"c":"","d":{}})", "", few) &&
                    is_refused(R"({"a":1,"b":[],"c":"","d":{"e":1}})", "more than 5 values", few),
                "5 values, of any kind");
  std::string most = "[0";
  for (int i = 2; i < 65536; ++i) most += ",0";
  PYLSTM_EXPECT(!is_refused(most + "]", "") && is_refused(most + ",0]", "more than 65536 values"), "65536 values");
}

void numbers_keep_their_range() {
  constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min(), kMost = ~kLeast;
  const auto integer = [](const char* text) { return std::get_if<std::int64_t>(&parsed(text).data()) != nullptr; };
  for (const std::int64_t value : {kLeast, kLeast + 1, std::int64_t{0}, kMost - 1, kMost}) {
    const JsonValue got = parsed(std::to_string(value));
    PYLSTM_EXPECT(std::get_if<std::int64_t>(&got.data()) != nullptr && JsonView(got, "").as_int() == value, value,
                  " is another number");
  }
  PYLSTM_EXPECT(!integer("9223372036854775808") && !integer("-9223372036854775809") && !integer("1.0") &&
                    !integer("1e2") && integer("-0"),
                "what is no int64 is one");
  const auto number = [](const std::string& text) {
    const JsonValue got = parsed(text);
    return JsonView(got, "").as_double();
  };
  PYLSTM_EXPECT(number("9223372036854775808") == 0x1p63 && number("-9223372036854775809") == -0x1p63, "2^63");
  PYLSTM_EXPECT(number(std::string(64, '9')) == 1e64 && is_refused(std::string(65, '9'), "64 characters"),
                "the longest number");
  constexpr double kHuge = std::numeric_limits<double>::max(), kSmall = std::numeric_limits<double>::min();
  PYLSTM_EXPECT(number("1.7976931348623157e308") == kHuge && number("-1.7976931348623157e+308") == -kHuge &&
                    is_refused("1.8e308", "range") && is_refused("-1E999", "range"),
                "the greatest double");
  PYLSTM_EXPECT(number("2.2250738585072014e-308") == kSmall && std::signbit(number("-0.0")), "the least double");
  Random random(21);
  std::vector<double> values = {kHuge, -kHuge, kSmall, -0.0, 1e15, 1e17, 1e22, 123456789012345678.0, 0.1, 1 / 3.0};
  for (int i = 0; i < 2000; ++i)
    values.push_back(std::ldexp(random.uniform(-1.0, 1.0), static_cast<int>(random.uniform(-1000.0, 1020.0))));
  for (const double value : values)
    PYLSTM_EXPECT(same_bits(std::get<double>(parsed(to_json(value)).data()), value), to_json(value), " was ", value);
  PYLSTM_EXPECT(refused<JsonError>([&] { to_json(kHuge * 2); }) && refused<JsonError>([&] { to_json(std::nan("")); }),
                "what is not finite is written");
  for (const char* text : {"-", "01", "-01", "1.", ".5", "+1", "1e", "1e+", "0x10", "1_0", "NaN", "Infinity", "-inf"})
    PYLSTM_EXPECT(is_refused(text), text, " is a number");
}

void strings_are_unicode() {
  struct Spelled {
    std::string text, meaning;
  };
  const Spelled strings[] = {
      {R"("")", ""},
      {R"("\"\\\/\b\f\n\r\t")", "\"\\/\b\f\n\r\t"},
      {R"("\u0000\u007f\u0080\u07ff\u0800\uffff")", "\0\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf"s},
      {R"("\ud7ff\ue000")", "\xed\x9f\xbf\xee\x80\x80"},
      {R"("\ud800\udc00\uD83D\uDE00\udbff\udfff")", "\xf0\x90\x80\x80\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf"},
      {"\"\x7f\xc2\x80\xed\x9f\xbf\xf4\x8f\xbf\xbf\"", "\x7f\xc2\x80\xed\x9f\xbf\xf4\x8f\xbf\xbf"},
  };
  for (const Spelled& s : strings) {
    const JsonValue got = parsed(s.text);
    PYLSTM_EXPECT(JsonView(got, "").as_string() == s.meaning, s.text, " is ", printable(JsonView(got, "").as_string()));
    const JsonValue again = parsed(to_json(got));
    PYLSTM_EXPECT(JsonView(again, "").as_string() == s.meaning && is_utf8(s.meaning), s.text, " is written otherwise");
  }
  for (const char* lone : {R"("\ud800")", R"("\udbff")", R"("\udc00")", R"("\udfff")", R"("\ud800x")", R"("\ud800\n")",
                           R"("\ud800\ud800")", R"("\udc00\ud800")", R"("\udc00\udc00")", R"("\ud800\u0041")"})
    PYLSTM_EXPECT(is_refused(lone, "surrogate"), lone, " is read");
  for (const std::string& text :
       {"\xff"s, "\x80"s, "\xc0\xaf"s, "\xc1\xbf"s, "\xe0\x9f\xbf"s, "\xed\xa0\x80"s, "\xf0\x8f\xbf\xbf"s,
        "\xf4\x90\x80\x80"s, "\xf5\x80\x80\x80"s, "\xe2\x82"s, "\xc3"s}) {
    PYLSTM_EXPECT(!is_utf8(text) && is_refused("\"" + text + "\"", "not UTF-8"), printable(text), " is UTF-8");
    PYLSTM_EXPECT(is_refused("\"" + text, "not UTF-8"), printable(text), " is UTF-8 where the text ends");
    PYLSTM_EXPECT(refused<JsonError>([&] { to_json(text); }), "what is not UTF-8 is written");
  }
  for (const std::string& text :
       {"\"\n\""s, "\"\x1f\""s, "\"\0\""s, R"("\x")"s, R"("\)"s, "\"\\\0\""s, R"("\u12")"s, R"("\u-001")"s,
        R"("\u+001")"s, R"("\u 001")"s, R"("\u0x1")"s, R"("\u123g")"s, "\"a"s, "'a'"s})
    PYLSTM_EXPECT(is_refused(text), printable(text), " is a string");
}

void structure_is_strict() {
  for (const std::string& text : {""s,
                                  " "s,
                                  "\0"s,
                                  "1\0"s,
                                  "\xef\xbb\xbf{}"s,
                                  "{} {}"s,
                                  "[1,]"s,
                                  "[,1]"s,
                                  "[1 2]"s,
                                  "[1"s,
                                  "]"s,
                                  "{\"a\"}"s,
                                  "{\"a\":}"s,
                                  "{\"a\":1,}"s,
                                  "{a:1}"s,
                                  "{1:1}"s,
                                  "{\"a\":1 \"b\":2}"s,
                                  "{/**/}"s,
                                  "t"s,
                                  "True"s,
                                  "nul"s,
                                  "truefalse"s,
                                  "\v1"s,
                                  "[\f]"s})
    PYLSTM_EXPECT(is_refused(text), printable(text), " is JSON");
  for (const char* twice : {R"({"a":1,"a":1})", R"({"a":1,"b":2,"\u0061":3})", R"([{"x":{"":1,"":2}}])"})
    PYLSTM_EXPECT(is_refused(twice, "twice"), twice, " has each key once");
  PYLSTM_EXPECT(to_json(parsed(" {\"b\" :\t[ ] ,\r\n\"a\":{\"b\":1,\"A\":[{},{\"b\":2}]}} ")) ==
                    R"({"b":[],"a":{"b":1,"A":[{},{"b":2}]}})",
                "members lose their order, or equal keys of several objects are refused");
}

// Cut anywhere a document is none; damaged anywhere it is refused or has a meaning that it keeps.
void damage_is_refused_or_read() {
  const std::string_view document = kDocument;
  PYLSTM_EXPECT(!is_refused(document, ""), "the document is refused");
  for (std::size_t length = 0; length < document.size(); ++length)
    PYLSTM_EXPECT(is_refused(document.substr(0, length)), "the first ", length, " bytes are read");
  for (std::size_t i = 0; i < document.size(); ++i) {
    for (int change = 1; change < 256; ++change) {
      std::string damaged(document);
      damaged[i] = static_cast<char>(damaged[i] ^ change);
      std::string meaning;
      const bool wrong = refused<JsonError>([&] { meaning = to_json(parsed(damaged)); });
      PYLSTM_EXPECT(wrong || to_json(parsed(meaning)) == meaning, "byte ", i, " changed by ", change, ": ", meaning);
    }
  }
}

void views_name_the_path() {
  const JsonValue document = parsed(R"({"layers":[{"units":"64"},{"units":2.5}],"no name":null})");
  const JsonView view(document, "config");
  const auto says = [](const char* part, auto call) { return refused<JsonError>(call, part); };
  PYLSTM_EXPECT(says("config.layers[0].units must be an integer, got \"64\"",
                     [&] { view.at("layers").at(0).at("units").as_int(); }) &&
                    says("config.layers[1].units must be an integer of at least 3, got 2.5",
                         [&] { view.at("layers").at(1).at("units").as_int(3); }) &&
                    says("config.layers[0].name is missing", [&] { view.at("layers").at(0).at("name"); }) &&
                    says("config.layers must have more than 2 entries, got 2", [&] { view.at("layers").at(2); }) &&
                    says("config.\"no name\" must be a string, got null", [&] { view.string_or("no name", ""); }) &&
                    says("config must be true or false, got an object", [&] { view.as_bool(); }),
                "a message does not name the path");
}

}  // namespace

void json_laws() {
  limits_hold();
  numbers_keep_their_range();
  strings_are_unicode();
  structure_is_strict();
  damage_is_refused_or_read();
  views_name_the_path();
}

}  // namespace pylstm::test
