// What one product reaches while nobody disturbs it, in the kernels' own blocks, in those that `ops` chooses for few
// rows, and as `ops` runs it, which is of many rows some at a time; for sizes of an LSTM's steps:
//   cmake --preset laws && cmake --build --preset laws
//   build/laws/benchmarks/products [SECONDS [ROWS INNER COLUMNS]...]
// A turn counts if the peaks before and after it are nearly the same, and not far below the best: beside a busy
// hyperthread they halve, and what a cache gives as well. Settings take turns, and have the same bits.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "base/buffer.hpp"
#include "base/float_env.hpp"
#include "kernels/dispatch.hpp"
#include "ops/product.hpp"
#include "ops/roofline.hpp"

namespace {

using namespace pylstm;

constexpr double kTurn = 2e8;       // operations: short, as quiet moments are
constexpr double kSteady = 0.98;    // the lower peak beside a turn, of the higher one
constexpr double kNear = 0.85;      // of the best peak: processors also change their frequency
constexpr double kPeakTime = 1e-4;  // seconds: one burst

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

void fill(float* values, Dim count) {
  static std::mt19937 engine(1);
  std::normal_distribution<float> normal(0, 0.1F);
  std::generate(values, values + count, [&] { return normal(engine); });
}

struct Turn {
  double share, low, high;  // of the mean peak; the peaks before and after
};

struct Setting {
  const char* name;
  Dim cut;  // -1: a product of ops
  std::vector<Turn> turns;
  std::vector<float> result;
};

// Shares of quiet turns, rising.
std::vector<double> quiet_shares(const std::vector<Turn>& turns, double best) {
  std::vector<double> shares;
  for (const Turn& turn : turns) {
    if (turn.low >= kSteady * turn.high && turn.low >= kNear * best) shares.push_back(turn.share);
  }
  std::sort(shares.begin(), shares.end());
  return shares;
}

// Prints a line; false if the settings differ in a bit.
bool run(const KernelTable<float>& k, Dim rows, Dim inner, Dim columns, double seconds, double& best) {
  const double step_flops = 2.0 * static_cast<double>(rows * inner * columns);
  const Dim steps = std::max<Dim>(2, static_cast<Dim>(kTurn / step_flops));  // each with rows of its own
  Buffer<float> memory[3];
  const Dim a_size = steps * rows * inner, b_size = inner * columns, c_size = steps * rows * columns;
  float *a = memory[0].reserve(a_size), *b = memory[1].reserve(b_size), *c = memory[2].reserve(c_size);
  fill(a, a_size);
  fill(b, b_size);
  Panels<float> panels;
  panels.pack(k, b, columns, 1, inner, columns);
  const Dim near = cut_of_features(k, 2 * k.tile_rows);  // 0, and nothing to compare, beside a small first level
  std::vector<Setting> settings = {{"128 KiB", 0, {}, {}}, {"cut", near, {}, {}}, {"ops", -1, {}, {}}};
  const double end = now() + seconds;
  for (std::size_t i = 0; i < settings.size() || now() < end; ++i) {
    Setting& setting = settings[i % settings.size()];
    std::fill(c, c + c_size, 0.5F);
    const double before = measure_peak(k, 1, kPeakTime, Rate::kMean), start = now();
    for (Dim step = 0; step < steps; ++step) {
      GemmArgs<float> args =
          whole_product(a + step * rows * inner, inner, panels, c + step * rows * columns, columns, rows, Init::kKeep);
      if (setting.cut < 0) {
        product(k, args);
        continue;
      }
      args.cut = setting.cut;
      args.backwards = step % 2 == 1;  // as steps of an LSTM do
      k.gemm(args);
    }
    const double taken = now() - start, after = measure_peak(k, 1, kPeakTime, Rate::kMean);
    best = std::max({best, before, after});
    const double share = static_cast<double>(steps) * step_flops / taken / ((before + after) / 2);
    setting.turns.push_back({share, std::min(before, after), std::max(before, after)});
    if (setting.result.empty()) setting.result.assign(c, c + c_size);
  }
  std::printf("%5td rows %5td inner %5td columns:", rows, inner, columns);
  for (const Setting& setting : settings) {
    const std::vector<double> shares = quiet_shares(setting.turns, best);
    std::printf("  %s: %5.1f %% (%zu of %zu turns)", setting.name, shares.empty() ? 0 : 100 * shares[shares.size() / 2],
                shares.size(), setting.turns.size());
  }
  std::printf("  of %.0f GFLOP/s\n", best / 1e9);
  std::fflush(stdout);
  return std::all_of(settings.begin(), settings.end(), [&](const Setting& setting) {
    return std::memcmp(setting.result.data(), settings[0].result.data(), setting.result.size() * sizeof(float)) == 0;
  });
}

}  // namespace

int main(int count, char** arguments) {
  std::vector<Dim> sizes = {12,  512, 2048, 20,   512, 2048, 24,   512, 2048, 32,   256, 1024, 32,  1024,
                            256, 32,  512,  2048, 20,  1500, 6000, 24,  1500, 6000, 20,  6000, 1500};
  if (count > 2) sizes.clear();
  for (int i = 2; i < count; ++i) sizes.push_back(std::strtol(arguments[i], nullptr, 10));
  const double seconds = count > 1 ? std::strtod(arguments[1], nullptr) : 5;
  const bool positive = std::all_of(sizes.begin(), sizes.end(), [](Dim size) { return size > 0; });
  if (!(seconds > 0) || !positive || sizes.size() % 3 != 0) {
    std::fprintf(stderr, "usage: products [SECONDS [ROWS INNER COLUMNS]...], all positive\n");
    return 2;
  }
  const FloatEnvironment denormals_are_zero;
  const Kernels& kernels = active_kernels();
  std::printf("%s\n", kernels.name);
  double best = 0;
  bool same = true;
  for (std::size_t i = 0; i < sizes.size(); i += 3) {
    same = run(kernels.f32, sizes[i], sizes[i + 1], sizes[i + 2], seconds, best) && same;
  }
  if (!same) std::printf("blocks changed a bit\n");
  return same ? 0 : 1;
}
