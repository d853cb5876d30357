// How threads share the units of an LSTM, and what that needs.
#include <algorithm>
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
  PYLSTM_EXPECT(apart.lends && !repeated.lends && repeated.running == 2, "not the threads that this is for");
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

}  // namespace

template <class T>
void lstm_share_laws(const KernelTable<T>& k, const Options&) {
  units_are_shared();
  plans_cover_fewer_rows(k);
  plans_cover_repeats(k);
}

template void lstm_share_laws<float>(const KernelTable<float>&, const Options&);
template void lstm_share_laws<double>(const KernelTable<double>&, const Options&);

}  // namespace pylstm::test
