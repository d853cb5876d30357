// The engine as a C++ program has it, without Python: training, prediction, interrupts, and data that is refused.
#include <algorithm>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

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

std::unique_ptr<Network> language_model(const std::string& dtype) {
  const std::string config = R"({"layers": [
    {"class_name": "Embedding", "config": {"name": "embedding", "input_dim": 11, "output_dim": 6}},
    {"class_name": "Bidirectional", "config": {"name": "both", "merge_mode": "concat",
      "layer": {"class_name": "LSTM", "config": {"name": "a", "units": 8, "return_sequences": true}}}},
    {"class_name": "LSTM", "config": {"name": "lstm", "units": 17, "return_sequences": true, "dropout": 0.2}},
    {"class_name": "Dense", "config": {"name": "dense", "units": 11, "activation": "softmax"}}]})";
  std::unique_ptr<Network> network = Network::create(config, {-1}, dtype);
  Random random(5);
  std::vector<std::vector<double>> values;
  std::vector<ArrayView> weights;
  for (const VariableInfo& v : network->variables()) {
    values.emplace_back();
    for (Dim i = 0; i < v.count; ++i) values.back().push_back(random.uniform(-0.4, 0.4));
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    ArrayView array;
    array.data = reinterpret_cast<const unsigned char*>(values[i].data());
    array.type = ElementType::kF64;
    array.shape = network->variables()[i].shape;
    Dim stride = 8;
    for (std::size_t d = array.shape.size(); d-- > 0; stride *= array.shape[d]) {
      array.strides.insert(array.strides.begin(), stride);
    }
    weights.push_back(array);
  }
  network->set_weights(weights);
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

std::vector<unsigned char> predict(Network& network, const Text& text, Dim row, Dim rows) {
  const Data data = text.data(row, rows);
  RunRequest request;
  request.order_count = rows;
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
    }
  }
  test::report().context.clear();
  test::refusals();
  return test::finish("network_laws");
}
