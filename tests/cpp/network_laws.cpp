// The engine as a C++ program has it, without Python: training, prediction, interrupts, and data that is refused.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/float_env.hpp"
#include "base/index.hpp"
#include "base/parallel.hpp"
#include "check.hpp"
#include "kernels/dispatch.hpp"
#include "network/network.hpp"
#include "piece_laws.hpp"

namespace pylstm::test {
namespace {

constexpr Dim kRows = 12, kSteps = 9, kTokens = 11;

// What an example has: token ids and the id that follows each, both [rows, steps].
struct Text {
  std::vector<std::int32_t> ids;
  Text() {
    for (Dim i = 0; i <= kRows * kSteps; ++i) ids.push_back(static_cast<std::int32_t>(i * i % kTokens));
  }
  ArrayView view(Dim first, Dim row, Dim rows) const {
    ArrayView array;
    array.data = reinterpret_cast<const unsigned char*>(ids.data() + row * kSteps + first);
    array.type = ElementType::kI32;
    array.shape = {rows, kSteps};
    array.strides = {kSteps * 4, 4};
    return array;
  }
  Data data(Dim row = 0, Dim rows = kRows) const {
    Data data;
    data.x = view(0, row, rows);
    data.y = view(1, row, rows);
    return data;
  }
};

// A whole array of doubles in C order, of another's memory.
ArrayView view_of(const std::vector<double>& values, const std::vector<Dim>& shape) {
  ArrayView array;
  array.data = reinterpret_cast<const unsigned char*>(values.data());
  array.type = ElementType::kF64;
  array.shape = shape;
  Dim stride = 8;
  for (std::size_t d = shape.size(); d-- > 0; stride *= shape[d]) array.strides.insert(array.strides.begin(), stride);
  return array;
}

void set_random_weights(Network& network, unsigned seed) {
  Random random(seed);
  std::vector<std::vector<double>> values;
  std::vector<ArrayView> weights;
  for (const VariableInfo& v : network.variables()) {
    values.emplace_back();
    for (Dim i = 0; i < v.count; ++i) values.back().push_back(random.uniform(-0.4, 0.4));
    weights.push_back(view_of(values.back(), v.shape));
  }
  network.set_weights(weights);
}

std::unique_ptr<Network> language_model(const std::string& dtype) {
  const std::string config = R"({"layers": [
    {"class_name": "Embedding", "config": {"name": "embedding", "input_dim": 11, "output_dim": 6}},
    {"class_name": "Bidirectional", "config": {"name": "both", "merge_mode": "concat",
      "layer": {"class_name": "LSTM", "config": {"name": "a", "units": 8, "return_sequences": true}}}},
    {"class_name": "LSTM", "config": {"name": "lstm", "units": 17, "return_sequences": true, "dropout": 0.2}},
    {"class_name": "Dense", "config": {"name": "dense", "units": 11, "activation": "softmax"}}]})";
  std::unique_ptr<Network> network = Network::create(config, {-1}, dtype);
  set_random_weights(*network, 5);
  network->compile(parse_loss("sparse_categorical_crossentropy"), parse_optimizer(R"({"name": "adam"})"));
  network->set_seed(3);
  return network;
}

std::vector<unsigned char> weights_of(const Network& network) {
  std::vector<unsigned char> bytes;
  for (const OwnedArray& array : network.get_weights()) {
    bytes.insert(bytes.end(), array.bytes.data(), array.bytes.data() + array.bytes.count());
  }
  return bytes;
}

// The loss of an epoch, batches of five rows.
double fit(Network& network, const Text& text, Interrupt* interrupt = nullptr) {
  Data data = text.data();
  network.check(data, Mode::kFit, nullptr);
  std::vector<std::int64_t> order(at(kRows));
  std::iota(order.begin(), order.end(), 0);
  RunRequest request;
  request.order = order.data();
  request.order_count = kRows;
  request.batch_size = 5;
  request.last = 3;
  network.start();
  network.train_batches(data, request, interrupt);
  network.finish();
  const auto [sum, weight] = data.totals["loss"];
  return weight > 0 ? sum / weight : 0;
}

std::vector<unsigned char> predict(Network& network, const Text& text, Dim row, Dim rows, Dim batch_size = 32) {
  const Data data = text.data(row, rows);
  RunRequest request;
  request.batch_size = batch_size;
  request.last = 1;
  std::vector<unsigned char> out(at(rows * kSteps * kTokens * (network.is_double() ? 8 : 4)));
  const Dim done = network.predict(data, request, out.data(), nullptr);
  PYLSTM_EXPECT(done == 1, "predict did ", done, " of 1 batch");
  return out;
}

void laws_of(const std::string& dtype) {
  const Text text;
  set_num_threads(1);
  const std::unique_ptr<Network> network = language_model(dtype);
  const double first = fit(*network, text);
  double last = first;
  for (int epoch = 0; epoch < 20; ++epoch) last = fit(*network, text);
  PYLSTM_EXPECT(last < first - 0.1, "21 epochs took the loss from ", first, " to ", last);
  const std::vector<unsigned char> weights = weights_of(*network), whole = predict(*network, text, 0, kRows);
  for (const int threads : {2, 3, 5}) {
    set_num_threads(threads);
    set_paces(threads, threads != 2);
    const std::unique_ptr<Network> other = language_model(dtype);
    for (int epoch = 0; epoch < 21; ++epoch) fit(*other, text);
    PYLSTM_EXPECT(weights_of(*other) == weights, threads, " threads train other weights");
    PYLSTM_EXPECT(predict(*other, text, 0, kRows) == whole, threads, " threads predict something else");
  }
  const std::size_t row = whole.size() / kRows;
  for (const Dim r : {Dim{0}, Dim{5}, kRows - 1}) {
    const std::vector<unsigned char> alone = predict(*network, text, r, 1);
    const bool same = std::equal(alone.begin(), alone.end(), whole.begin() + static_cast<std::ptrdiff_t>(at(r) * row));
    PYLSTM_EXPECT(same, "row ", r, " predicts something else alone");
  }
  Interrupt stopped([] { return true; });
  while (!stopped.requested()) continue;
  const long long steps = network->iterations();
  fit(*network, text, &stopped);
  PYLSTM_EXPECT(network->iterations() == steps && weights_of(*network) == weights,
                "an interrupted fit changed weights");
  PYLSTM_EXPECT(network->call(text.data(), {}, false, &stopped).empty(), "an interrupted call has results");
  PYLSTM_EXPECT(network->gradients(text.data(), &stopped).second.empty(), "interrupted gradients are there");
}

// Whether `call` throws std::invalid_argument or std::out_of_range whose message has `part`.
template <class Call>
void refused(const char* part, Call call) {
  try {
    call();
    PYLSTM_EXPECT(false, "not refused: ", part);
  } catch (const std::logic_error& error) {
    PYLSTM_EXPECT(std::string(error.what()).find(part) != std::string::npos, "expected ", part, " in ", error.what());
  }
}

// A mask belongs to its own call: an evaluation without one, of a network whose only layer has no outputs then, counts
// all rows.
void masks_end(const std::string& dtype) {
  const auto network = Network::create(
      R"({"layers": [{"class_name": "Dense", "config": {"name": "d", "units": 3, "activation": "softmax"}}]})", {-1, 2},
      dtype);
  network->compile(parse_loss("sparse_categorical_crossentropy"), parse_optimizer(R"({"name": "sgd"})"));
  const std::vector<double> x(at(kRows * kSteps * 2), 0.5), y(at(kRows * kSteps), 1);
  const std::vector<std::uint8_t> masked(at(kRows * kSteps), 0);
  Data data;
  data.x = view_of(x, {kRows, kSteps, 2});
  Data with_mask = data;
  with_mask.mask.data = masked.data();
  with_mask.mask.type = ElementType::kU8;
  with_mask.mask.shape = {kRows, kSteps};
  with_mask.mask.strides = {kSteps, 1};
  network->call(with_mask, {}, false, nullptr);
  data.y = view_of(y, {kRows, kSteps});
  RunRequest request;
  request.last = 1;
  network->evaluate_batches(data, request, nullptr);
  PYLSTM_EXPECT(data.totals["tokens"].first == kRows * kSteps, "after a masked call an evaluation counts ",
                data.totals["tokens"].first, " of ", kRows * kSteps, " rows");
}

// Gradients of weights that are no more change nothing.
void weights_between_halves(const std::string& dtype) {
  const Text text;
  const std::unique_ptr<Network> network = language_model(dtype);
  const Data data = text.data();
  RunRequest request;
  request.batch_size = kRows;
  request.last = 1;
  const std::vector<double> dy(at(kRows * kSteps * kTokens), 0.01);
  const ArrayView gradient = view_of(dy, {kRows, kSteps, kTokens});
  network->start();
  refused("call forward", [&] { network->backward(gradient, nullptr); });
  network->forward(data, request, true, nullptr);
  set_random_weights(*network, 6);
  const std::vector<unsigned char> weights = weights_of(*network);
  refused("between forward and backward", [&] { network->backward(gradient, nullptr); });
  PYLSTM_EXPECT(network->iterations() == 0 && weights_of(*network) == weights, "gradients of old weights moved others");
  network->forward(data, request, true, nullptr);
  PYLSTM_EXPECT(network->backward(gradient, nullptr) && weights_of(*network) != weights, "a step changed no weight");
  request.batch_size = 5;
  request.last = 2;
  refused("one batch", [&] { network->forward(data, request, true, nullptr); });
  network->finish();
}

// Floating values that no integer can hold, as targets at padded steps may be, are no number of a class.
template <class S, class Out>
void out_of_range(ElementType type) {
  const double end = std::ldexp(1.0, std::numeric_limits<Out>::digits);
  const double inf = std::numeric_limits<double>::infinity();
  const std::vector<double> outside = {std::nan(""), inf, -inf, 1e20, -1e20, end};
  std::vector<S> values = {S(0), S(3), S(120)};
  for (const double value : outside) values.push_back(static_cast<S>(value));
  ArrayView array;
  array.type = type;
  for (const bool apart : {false, true}) {
    std::vector<S> from;
    for (const S value : values) {
      from.push_back(value);
      if (apart) from.push_back(S(7));
    }
    std::vector<Out> got(values.size());
    const auto stride = static_cast<Dim>(sizeof(S)) * (apart ? 2 : 1);
    read_elements(array, reinterpret_cast<const unsigned char*>(from.data()), stride, static_cast<Dim>(got.size()),
                  got.data());
    for (std::size_t i = 0; i < got.size(); ++i) {
      const Out want = i < 3 ? static_cast<Out>(values[i]) : static_cast<Out>(-1);
      PYLSTM_EXPECT(got[i] == want, values[i], " is read as ", +got[i], ", want ", +want);
    }
  }
}

// Every number of half precision, as the standard says, also where denormals are taken for 0.
template <class Out>
void halves() {
  const FloatEnvironment guard;
  std::vector<std::uint16_t> bits(1 << 16);
  std::iota(bits.begin(), bits.end(), std::uint16_t{0});
  ArrayView array;
  array.type = ElementType::kF16;
  std::vector<Out> got(bits.size());
  read_elements(array, reinterpret_cast<const unsigned char*>(bits.data()), 2, static_cast<Dim>(got.size()),
                got.data());
  Dim wrong = 0;
  for (const std::uint16_t half : bits) {
    const int exponent = (half >> 10) & 31, mantissa = half & 1023;
    const double size = exponent == 31  ? (mantissa == 0 ? HUGE_VAL : std::nan(""))
                        : exponent == 0 ? std::ldexp(mantissa, -24)
                                        : std::ldexp(1024 + mantissa, exponent - 25);
    const double want = (half & 0x8000) != 0 ? -size : size, found = static_cast<double>(got[half]);
    const bool same = std::isnan(want) ? std::isnan(found) : found == want && std::signbit(found) == std::signbit(want);
    wrong += !same;
  }
  PYLSTM_EXPECT(wrong == 0, wrong, " of 65536 halves are read as something else");
}

// At temperature 0 it goes on with the likeliest of what the network gives at the last step of all tokens so far.
void generation(const std::string& dtype) {
  const char* config = R"({"layers": [
    {"class_name": "Embedding", "config": {"name": "embedding", "input_dim": 11, "output_dim": 6}},
    {"class_name": "LSTM", "config": {"name": "lstm", "units": 17, "return_sequences": true}},
    {"class_name": "Dense", "config": {"name": "dense", "units": 11, "activation": "softmax"}}]})";
  const std::unique_ptr<Network> network = Network::create(config, {-1}, dtype);
  set_random_weights(*network, 7);
  const Text text;
  SampleOptions likeliest;
  likeliest.temperature = 0;
  constexpr Dim kNew = 4;
  const std::vector<std::int32_t> tokens = network->generate(text.view(0, 0, kRows), kNew, likeliest, nullptr);
  for (const Dim row : {Dim{0}, kRows - 1}) {
    std::vector<std::int32_t> ids(text.ids.begin() + row * kSteps, text.ids.begin() + (row + 1) * kSteps);
    for (Dim i = 0; i < kNew; ++i) {
      Data data;
      data.x.data = reinterpret_cast<const unsigned char*>(ids.data());
      data.x.type = ElementType::kI32;
      data.x.shape = {1, static_cast<Dim>(ids.size())};
      data.x.strides = {static_cast<Dim>(ids.size()) * 4, 4};
      const std::vector<OwnedArray> outputs = network->call(data, {}, false, nullptr);
      const auto best = [&](auto type) {
        std::vector<decltype(type)> y(at(kTokens));
        const std::size_t size = y.size() * sizeof(type);
        std::memcpy(y.data(), outputs[0].bytes.data() + outputs[0].bytes.count() - size, size);
        return static_cast<std::int32_t>(std::max_element(y.begin(), y.end()) - y.begin());
      };
      const std::int32_t want = network->is_double() ? best(0.0) : best(0.0f), got = tokens[at(row * kNew + i)];
      PYLSTM_EXPECT(got == want, "row ", row, " goes on with token ", got, ", likeliest is ", want);
      ids.push_back(got);
    }
  }
}

void refusals() {
  refused("invalid JSON", [] { Network::create("[", {-1}, "float32"); });
  refused("Lambda", [] {
    Network::create(R"({"layers": [{"class_name": "Lambda", "config": {"name": "a"}}]})", {3}, "float32");
  });
  refused("dtype", [] {
    Network::create(R"({"layers": [{"class_name": "Dense", "config": {"name": "d", "units": 1}}]})", {3}, "float16");
  });
  const std::unique_ptr<Network> network = language_model("float32");
  Text text;
  PYLSTM_EXPECT(predict(*network, text, 0, kRows, std::numeric_limits<Dim>::max()) == predict(*network, text, 0, kRows),
                "a batch of any size predicts something else");
  text.ids[at(2 * kSteps + 4)] = kTokens;
  const Data data = text.data();
  refused("row 2, step 4", [&] { network->check(data, Mode::kPredict, nullptr); });
}

}  // namespace
}  // namespace pylstm::test

int main() {
  using namespace pylstm;
  for (const std::string& isa : available_isas()) {
    use_isa(isa);
    for (const char* dtype : {"float32", "float64"}) {
      test::report().context = isa + " " + dtype + ": ";
      test::laws_of(dtype);
      test::masks_end(dtype);
      test::weights_between_halves(dtype);
      test::generation(dtype);
    }
  }
  test::report().context.clear();
  test::refusals();
  test::out_of_range<float, std::int32_t>(ElementType::kF32);
  test::out_of_range<double, std::int32_t>(ElementType::kF64);
  test::halves<float>();
  test::halves<double>();
  test::out_of_range<float, std::int64_t>(ElementType::kF32);
  test::out_of_range<double, std::int64_t>(ElementType::kF64);
  test::out_of_range<float, std::uint8_t>(ElementType::kF32);
  return test::finish("network_laws");
}
