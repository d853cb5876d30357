// Sampling of token ids.
#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

#include "base/float_env.hpp"
#include "base/index.hpp"
#include "base/philox.hpp"
#include "network/engine.hpp"

namespace pylstm {
namespace {

void check_options(const SampleOptions& options) {
  check(options.temperature >= 0, "temperature must not be negative, got ", options.temperature);
  check(options.top_k >= 0, "top_k must not be negative, got ", options.top_k);
  check(options.top_p > 0 && options.top_p <= 1, "top_p must be above 0 and at most 1, got ", options.top_p);
}

void check_prompt(const ArrayView& prompt) {
  check(prompt.rank() >= 1 && prompt.rank() <= 2 && !is_floating(prompt.type),
        "prompt must hold token ids of shape (steps,) or (rows, steps)");
}

// The ids of `rows` prompts, time-major as a batch is.
std::vector<std::int32_t> read_prompt(const ArrayView& prompt, Dim rows, Dim vocabulary) {
  const Dim steps = prompt.shape.back();
  check(rows > 0 && steps > 0, "prompt must hold at least one token id");
  std::vector<std::int64_t> ids(at(steps));
  std::vector<std::int32_t> batch(at(checked_product({rows, steps}, sizeof(std::int32_t))));
  for (Dim r = 0; r < rows; ++r) {
    const unsigned char* from = prompt.data + (prompt.rank() == 1 ? 0 : r * prompt.strides[0]);
    read_elements(prompt, from, prompt.strides.back(), steps, ids.data());
    for (Dim t = 0; t < steps; ++t) {
      const std::int64_t id = ids[at(t)];
      if (id < 0 || id >= vocabulary) {
        const std::string got = prompt.type == ElementType::kU64 ? text(static_cast<std::uint64_t>(id)) : text(id);
        throw std::out_of_range(
            text("prompt: a token id must be from 0 to ", vocabulary - 1, ", got ", got, " at row ", r, ", step ", t));
      }
      batch[at(t * rows + r)] = static_cast<std::int32_t>(id);
    }
  }
  return batch;
}

}  // namespace

template <class T>
void Engine<T>::check_generative() const {
  pylstm::check(input_.tokens, "generate needs a model whose first layer is an Embedding, got ",
                layers_.front()->name());
  pylstm::check(last_dense(DenseActivation::kSoftmax) != nullptr && output_.sequence,
                "generate needs a model that ends in Dense(..., activation='softmax') over every step; of one of "
                "logits, make another with that activation and give it the weights");
  pylstm::check(output_.features <= vocabulary_, "generate feeds outputs back as inputs: the model gives ",
                output_.features, " classes but its Embedding has only ", vocabulary_, " entries");
  for (const auto& layer : layers_) {
    pylstm::check(!layer->reversed(), "generate is not possible with ", layer->name(), ", which reads time backwards");
  }
}

template <class T>
std::vector<std::int32_t> Engine<T>::generate(const ArrayView& prompt, Dim count, const SampleOptions& options,
                                              Interrupt* interrupt) {
  const Reading reading(*settings_mutex_);
  const FloatEnvironment guard;
  check_prompt(prompt);
  check_generative();
  const Dim rows = prompt.rank() == 1 ? 1 : prompt.shape[0];
  std::vector<std::int32_t> input = read_prompt(prompt, rows, vocabulary_);
  pylstm::check(count >= 0, "max_new_tokens must not be negative, got ", count);
  check_options(options);

  const std::shared_ptr<const Snapshot<T>> snap = snapshot();
  const Loan work(*this);
  open_context(*work, *snap->kernels, interrupt);
  work->state = empty_state();
  work->context.state = &work->state;
  work->context.only_stateful = false;
  std::vector<std::int32_t> output(at(checked_product({rows, count}, sizeof(std::int32_t))));
  // Probabilities of the last step alone: the prompt's others would be rows times classes that nobody reads.
  const std::size_t last = layers_.size() - 1;
  const DenseLayer<T>* softmax = last_dense(DenseActivation::kSoftmax);
  const Dim classes = output_.features;
  Buffer<T> probabilities(checked_product({rows, classes}, sizeof(T)));
  work->x_rows.reserve(at(rows));
  work->y_rows.reserve(at(rows));
  // A token drawn that is padding only holds the state, and most often the last output: then its row keeps the
  // probabilities that it had.
  const std::optional<double> padding = layers_.front()->padding();
  bool holding = false;
  for (const auto& layer : layers_) holding = layer->state_blocks() > 0 ? layer->holds_outputs() : holding;
  const auto is_held = [&](Dim position, Dim r) {
    return holding && position > 0 && padding && input[at(r)] == *padding;
  };
  SampleScratch<T> scratch;
  for (Dim position = 0; position < count && !stop_requested(interrupt); ++position) {
    Rows<T>& x = work->batch.x;
    x = {};
    x.ids = input.data();
    x.batch = rows;
    x.steps = static_cast<Dim>(input.size()) / rows;
    x.sequence = true;
    run_layers(*work, snap->weights, last, nullptr);
    const Rows<T>& h = work->rows[last];
    work->x_rows.clear();
    work->y_rows.clear();
    for (Dim r = 0; r < rows; ++r) {
      if (is_held(position, r)) continue;
      work->x_rows.push_back(h.at(h.steps - 1, r));
      work->y_rows.push_back(probabilities.data() + r * classes);
    }
    softmax->write_probabilities(work->context, snap->weights[last].get(), *work->layers[last], work->x_rows.data(),
                                 static_cast<Dim>(work->x_rows.size()), work->y_rows.data(), false);
    if (stop_requested(interrupt)) break;  // they may be anything then
    input.resize(at(rows));
    for (Dim r = 0; r < rows; ++r) {
      const T* row = probabilities.data() + r * classes;
      if (!std::all_of(row, row + classes, [](T value) { return std::isfinite(value); })) {
        throw std::runtime_error(text("generate: the probabilities of row ", r,
                                      " are not finite: its weights hold NaN "
                                      "or infinity"));
      }
      const Philox random(options.seed, Purpose::kSample, static_cast<std::uint32_t>(r), 0);
      const double uniform = random.uniform(static_cast<std::uint64_t>(position));
      const auto token = static_cast<std::int32_t>(sample(row, classes, options, uniform, scratch));
      output[at(r * count + position)] = input[at(r)] = token;
    }
  }
  return output;
}

template class Engine<float>;
template class Engine<double>;

}  // namespace pylstm
