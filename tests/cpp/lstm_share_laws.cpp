// How threads share the units of an LSTM, and what that needs.
#include <algorithm>
#include <limits>
#include <vector>

#include "base/index.hpp"
#include "base/parallel.hpp"
#include "laws.hpp"
#include "ops/lstm.hpp"
#include "ops/lstm_threads.hpp"

namespace pylstm::test {
namespace {

// Threads share all blocks; each that is lent has one borrower, and where there are enough, all have as much to do.
void units_are_shared() {
  for (int size = 1; size <= 9; ++size) {
    for (Dim blocks = size; blocks <= 40; ++blocks) {
      Dim end = 0, least = 2 * blocks, most = 0;
      std::vector<Dim> lent, borrowed;
      for (int i = 0; i < size; ++i) {
        const UnitShare share = unit_share(blocks, i, size, true), plain = unit_share(blocks, i, size, false);
        PYLSTM_EXPECT(share.blocks.begin == end && plain.blocks.begin == end && plain.blocks.end == share.blocks.end,
                      "a block of ", blocks, " has no owner or two, of ", size);
        PYLSTM_EXPECT(plain.lent < 0 && plain.borrowed < 0, "lent unasked");
        end = share.blocks.end;
        Dim products = 2 * (end - share.blocks.begin);  // over h, and of inputs
        if (share.lent >= 0) {
          PYLSTM_EXPECT(share.lent == share.blocks.begin && end - share.lent > 1, "lent another block");
          lent.push_back(share.lent);
          --products;
        }
        if (share.borrowed >= 0) {
          borrowed.push_back(share.borrowed);
          ++products;
        }
        least = std::min(least, products);
        most = std::max(most, products);
      }
      PYLSTM_EXPECT(end == blocks && lent == borrowed, "a block is lent to nobody, of ", blocks, " for ", size);
      PYLSTM_EXPECT(2 * (blocks % size) > size || most - least <= 1, "shares differ by ", most - least, ", ", blocks,
                    " for ", size);
    }
  }
}

// What is planned for a batch is enough for a last one of any number of rows, though its threads may share differently.
template <class T>
void plans_cover_fewer_rows(const KernelTable<T>& k) {
  for (const int threads : {1, 2, 3, 8}) {
    set_num_threads(threads);
    for (const Dim units : {Dim{193}, Dim{258}}) {
      LstmWeights<T> weights;
      weights.inputs = weights.units = units;
      weights.z_columns = 4 * round_up(units, k.width);
      for (const bool dropout : {false, true}) {
        const auto planned = [&](Dim batch) {
          Schedule schedule;
          schedule.batch = batch;
          schedule.steps = 4;
          schedule.total = 4 * batch;
          schedule.dense = true;
          PlannedRun run;
          run.schedule = &schedule;
          run.input_dropout = dropout;
          run.training = true;
          return planned_scratch(k, weights, run);
        };
        for (const Dim batch : {9, 33, 96, 130}) {
          const LstmScratchSizes whole = planned(batch);
          LstmScratchSizes all = whole;
          for (Dim rows = 1; rows < batch; ++rows) all.cover(planned(rows));
          PYLSTM_EXPECT(all.template bytes<T>() == whole.template bytes<T>(), "planned ", whole.template bytes<T>(),
                        " for ", batch, " rows, of fewer ", all.template bytes<T>(), "; units ", units, ", threads ",
                        threads);
        }
      }
    }
  }
  set_num_threads(1);
}

// Inputs that repeat are not projected step by step, so threads split rows where they would else lend blocks: what is
// planned for inputs that may repeat has room for either.
template <class T>
void plans_cover_repeats(const KernelTable<T>& k) {
  set_num_threads(2);
  LstmWeights<T> weights;
  weights.inputs = weights.units = 258;
  weights.z_columns = 4 * round_up(weights.units, k.width);
  Schedule schedule;
  schedule.batch = 33;
  schedule.steps = 4;
  schedule.total = schedule.batch * schedule.steps;
  schedule.dense = true;
  LstmRun<T> run = {};
  run.weights = &weights;
  run.schedule = &schedule;
  const LstmThreads apart = lstm_threads(run, Pass::kForward, k.width);
  run.repeats.count = 7;
  const LstmThreads repeated = lstm_threads(run, Pass::kForward, k.width);
  PYLSTM_EXPECT(apart.lends && !repeated.lends && repeated.over_time == 2, "not the threads that this is for");
  const bool few = weights.units / k.width <= 16;  // of more blocks, one more is no more than threads may be uneven by
  PYLSTM_EXPECT((repeated.sharing == 1) == few, "threads share ", few ? "unevenly" : "no units");
  PlannedRun plan;
  plan.schedule = &schedule;
  plan.distinct = 7;
  plan.training = true;
  const LstmScratchSizes sizes = planned_scratch(k, weights, plan);
  PYLSTM_EXPECT(sizes.z.size() == (few ? 2U : 1U), "z of ", sizes.z.size(), " threads is planned");
  set_num_threads(1);
}

// An LSTM of which two threads each have a block of units more or less, and one lends it: at inference, with the same
// inputs at every step.
template <class T>
class Lending {
 public:
  Lending(const KernelTable<T>& k, Dim steps) : k_(k) {
    Random random(3);
    const auto values = [&](Dim count) {
      std::vector<T> all;
      for (Dim i = 0; i < count; ++i) all.push_back(random.uniform<T>(-0.1, 0.1));
      return all;
    };
    const std::vector<T> kernel = values(kUnits * 4 * kUnits), recurrent = values(kUnits * 4 * kUnits),
                         bias = values(4 * kUnits);
    weights_.pack(k, {kernel.data(), recurrent.data(), bias.data()}, kUnits, kUnits, 1, false);
    x_ = values(kBatch * kUnits);
    make_schedule(steps, kBatch, nullptr, false, schedule_);
    run_.kernels = &k;
    run_.weights = &weights_;
    run_.schedule = &schedule_;
    run_.x_row = kUnits;
    run_.x.assign(at(steps), x_.data());
    run_.two_steps = true;
    set_num_threads(2);
    PYLSTM_EXPECT(lstm_threads(run_, Pass::kInference, k.width).lends, "not the threads that this is for");
  }

  // Whatever has read it is NaN from then on.
  void spoil_last_step() {
    spoiled_.assign(x_.size(), std::numeric_limits<T>::quiet_NaN());
    run_.x.back() = spoiled_.data();
  }

  // The last two h and the last c, from 0; within: a region of one thread.
  std::vector<T> operator()(int threads, Interrupt* interrupt = nullptr, bool within = false) {
    std::vector<T> state(at(3 * kBatch * kUnits));
    run_.h = state.data();
    run_.c = state.data() + 2 * kBatch * kUnits;
    run_.interrupt = interrupt;
    set_num_threads(threads);
    if (within) {
      parallel_region(1, [&](int, int) { lstm_forward(run_, scratch_); });
    } else {
      lstm_forward(run_, scratch_);
    }
    set_num_threads(1);
    return state;
  }

 private:
  static constexpr Dim kBatch = 33, kUnits = 258;
  const KernelTable<T>& k_;
  LstmWeights<T> weights_;
  Schedule schedule_;
  std::vector<T> x_, spoiled_;
  LstmRun<T> run_ = {};
  LstmScratch<T> scratch_;
};

// Blocks that are lent have the bits of those of one thread, also where both parts come to one, as in a region within
// another.
template <class T>
void lent_blocks_have_the_same_bits(const KernelTable<T>& k, bool quick) {
  for (const Dim steps : quick ? std::vector<Dim>{3} : std::vector<Dim>{2, 3, 9}) {
    Lending<T> lstm(k, steps);
    const std::vector<T> alone = lstm(1);
    PYLSTM_EXPECT(lstm(2) == alone, "lent blocks of ", steps, " steps");
    PYLSTM_EXPECT(lstm(2, nullptr, true) == alone, "lent blocks of ", steps, " steps on one thread of two");
  }
}

// Threads that lend leave together when they are asked to stop between two steps.
template <class T>
void lenders_stop_together(const KernelTable<T>& k) {
  Lending<T> lstm(k, 100000);  // far more than run before the look that asks
  lstm.spoil_last_step();
  int polls = 0;
  Interrupt interrupt([&] { return ++polls > 0; });
  const std::vector<T> some = lstm(2, &interrupt);
  PYLSTM_EXPECT(polls == 1, "was asked ", polls, " times whether to stop");
  PYLSTM_EXPECT(std::any_of(some.begin(), some.end(), [](T value) { return value != 0; }), "stopped before it began");
  PYLSTM_EXPECT(std::none_of(some.begin(), some.end(), [](T value) { return value != value; }), "ran to the end");
}

}  // namespace

template <class T>
void lstm_share_laws(const KernelTable<T>& k, const Options& options) {
  units_are_shared();
  plans_cover_fewer_rows(k);
  plans_cover_repeats(k);
  lent_blocks_have_the_same_bits(k, options.quick);
  if (!options.quick) lenders_stop_together(k);
}

template void lstm_share_laws<float>(const KernelTable<float>&, const Options&);
template void lstm_share_laws<double>(const KernelTable<double>&, const Options&);

}  // namespace pylstm::test
