// The gradient of a table, step after step in the same memory, and the optimizer's step that reads its touched rows
// alone: both as of a gradient that is summed plainly and read whole.
#include "base/parallel.hpp"
#include "laws.hpp"
#include "ops/embedding.hpp"
#include "ops/optimizers.hpp"

namespace pylstm::test {
namespace {

struct Table {
  Dim entries, width, rows;  // rows of the largest batch
};

// A row alone; rows that share cache lines, and parts of them; more than one block of the optimizer, with a row across
// its end; enough for three threads to share columns, and rows.
constexpr Table kTables[] = {{1, 1, 1},     {7, 3, 7},       {40, 17, 40},    {300, 200, 300},
                             {5, 16384, 5}, {4000, 9, 4000}, {50, 256, 8000}, {9000, 200, 9000}};

constexpr Dim kManyRows = 1000, kManyElements = 1000000;

OptimizerConfig config_of(Rule rule, double momentum, bool centered, double weight_decay) {
  OptimizerConfig config;
  config.rule = rule;
  config.momentum = momentum;
  config.centered = centered;
  config.weight_decay = weight_decay;
  config.clipnorm = 0.5;
  return config;
}

const OptimizerConfig kOptimizers[] = {
    config_of(Rule::kSgd, 0, false, 0),       config_of(Rule::kSgd, 0, false, 0.01),
    config_of(Rule::kSgd, 0.9, false, 0),     config_of(Rule::kRmsprop, 0, false, 0),
    config_of(Rule::kRmsprop, 0.9, true, 0),  config_of(Rule::kAdam, 0, false, 0),
    config_of(Rule::kAdam, 0, false, 0.0625),
};

template <class T>
struct Trained {  // parameters and slots after some steps
  explicit Trained(Dim count, Random& random) : p(index(count)), slots(3, std::vector<T>(index(count))) {
    for (T& value : p) value = random.uniform<T>(-1, 1);
  }
  static std::size_t index(Dim i) { return static_cast<std::size_t>(i); }
  void step(const KernelTable<T>& k, const OptimizerConfig& config, const VariableRange& variable,
            const std::vector<double>& norms, long long iteration, const T* gradient) {
    std::vector<T*> pointers;
    for (std::size_t i = 0; i < slot_names(config).size(); ++i) pointers.push_back(slots[i].data());
    optimizer_step(k, config, {variable}, norms, iteration, p.data(), gradient, pointers);
  }
  bool operator==(const Trained& other) const {
    return std::memcmp(p.data(), other.p.data(), p.size() * sizeof(T)) == 0 && slots == other.slots;
  }
  std::vector<T> p;
  std::vector<std::vector<T>> slots;
};

// Ids that repeat, the first and the last of the table among them.
std::vector<std::int32_t> some_ids(Dim entries, Dim rows, Random& random) {
  std::vector<std::int32_t> ids(static_cast<std::size_t>(rows));
  for (std::int32_t& id : ids) id = static_cast<std::int32_t>(random.uniform<double>(0, 1) * double(entries));
  if (rows > 2) ids[1] = 0, ids[2] = static_cast<std::int32_t>(entries - 1);
  return ids;
}

template <class T>
void table_case(const KernelTable<T>& k, const Table& table, const OptimizerConfig& config, bool distinct) {
  const Dim entries = table.entries, width = table.width, count = entries * width;
  Random random(11);
  std::vector<T> gradient(static_cast<std::size_t>(count), T(0));
  TouchedRows touched;
  Trained<T> sparse(count, random), dense = sparse;
  long long iteration = 0;
  for (const Dim rows : {Dim{9}, Dim{0}, Dim{3}, table.rows, Dim{1}}) {
    std::vector<std::int32_t> ids = some_ids(entries, rows, random);
    if (distinct) {
      DistinctIds found;
      PYLSTM_EXPECT(find_distinct(ids.data(), rows, entries, rows, found), "distinct ids are more than rows");
      ids = found.ids;
    }
    std::vector<T> dy(ids.size() * static_cast<std::size_t>(width)), want(static_cast<std::size_t>(count), T(0));
    for (T& value : dy) value = random.uniform<T>(-1, 1);
    for (std::size_t m = 0; m < ids.size(); ++m) {
      for (Dim i = 0; i < width; ++i) {
        want[static_cast<std::size_t>(ids[m] * width + i)] += dy[m * static_cast<std::size_t>(width) + std::size_t(i)];
      }
    }
    if (distinct) {
      embedding_backward_distinct(width, ids, dy.data(), gradient.data(), touched);
    } else {
      embedding_backward(k, entries, width, ids.data(), rows, dy.data(), gradient.data(), touched);
    }
    PYLSTM_EXPECT(gradient == want, "gradient of ", entries, " x ", width, " after ", rows, " rows is another");
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    PYLSTM_EXPECT(touched.rows == ids, "touched rows of ", entries, " x ", width, " are others");

    const VariableRange whole = {0, count, true}, part = {0, count, true, &touched.rows, width};
    const std::vector<double> norms = squared_norms(k, {whole}, want.data());
    const double norm = squared_norms(k, {part}, gradient.data())[0];
    PYLSTM_EXPECT(std::fabs(norm - norms[0]) <= double(count) * kEps<double> * norms[0], "squared norm of ", entries,
                  " x ", width, " is ", norm, ", want ", norms[0]);
    sparse.step(k, config, part, norms, ++iteration, gradient.data());
    dense.step(k, config, whole, norms, iteration, want.data());
    PYLSTM_EXPECT(sparse == dense, "a step over touched rows of ", entries, " x ", width, " has other bits, rule ",
                  static_cast<int>(config.rule), " momentum ", config.momentum);
  }
}

}  // namespace

template <class T>
void embedding_laws(const KernelTable<T>& k, const Options& options) {
  const int before = num_threads();
  set_num_threads(3);
  for (const Table& table : kTables) {
    if (options.brief && table.entries * table.width > kManyElements) continue;
    for (const OptimizerConfig& config : kOptimizers) {
      if (table.rows > kManyRows && config.rule != Rule::kRmsprop) continue;  // these take the time
      for (const bool distinct : {false, true}) table_case(k, table, config, distinct);
    }
  }
  set_num_threads(before);
}

template void embedding_laws<float>(const KernelTable<float>&, const Options&);
template void embedding_laws<double>(const KernelTable<double>&, const Options&);

}  // namespace pylstm::test
