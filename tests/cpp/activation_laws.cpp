// exp, sigmoid, tanh and the logarithm: accuracy on a dense sample, special values, and that an element's bits
// depend on nothing but its value.
#include <algorithm>

#include "laws.hpp"

namespace pylstm::test {
namespace {

// What the table promises (src/cpp/kernels/table.hpp).
template <class T>
struct Promise;
template <>
struct Promise<float> {
  static constexpr float lowest = -87.33f, highest = 88.72f;
};
template <>
struct Promise<double> {
  static constexpr double lowest = -708.39, highest = 709.78;
};

enum Function { kExp, kSigmoid, kTanh };
constexpr const char* kNames[] = {"exp", "sigmoid", "tanh"};
constexpr double kUlps[] = {1, 2.5, 2.5};

template <class T>
Wide<T> reference(int function, T argument) {
  const Wide<T> x = argument;
  if (function == kExp) return std::exp(x);
  if (function == kTanh) return std::tanh(x);
  return sigmoid<T>(x);
}

template <class T>
void apply(const KernelTable<T>& k, int function, Dim n, const T* x, T* y) {
  (function == kExp ? k.exp : function == kSigmoid ? k.sigmoid : k.tanh)(n, x, y);
}

template <class T>
struct Worst {
  double ulps = 0;
  T x = 0;
};

// One chunk of arguments through every instruction set.
template <class T>
class Accuracy {
 public:
  explicit Accuracy(const std::vector<std::string>& isas) : isas_(isas), worst_(isas.size() * 3) {
    if (!kWider<T>) std::printf("long double is no wider than double here: accuracy of double is not measured\n");
  }

  void add(T x) {
    chunk_.push_back(x);
    if (chunk_.size() == 4096) flush();
  }

  void flush() {
    std::vector<T> y(chunk_.size());
    std::vector<Wide<T>> want(chunk_.size());
    for (int f = 0; f < 3; ++f) {
      for (std::size_t i = 0; i < chunk_.size(); ++i) want[i] = reference<T>(f, chunk_[i]);
      for (std::size_t isa = 0; isa < isas_.size(); ++isa) {
        use_isa(isas_[isa]);
        apply(table_of<T>(active_kernels()), f, static_cast<Dim>(y.size()), chunk_.data(), y.data());
        for (std::size_t i = 0; i < y.size(); ++i) look(f, isa, chunk_[i], y[i], want[i]);
      }
    }
    chunk_.clear();
  }

  void report_worst() const {
    for (std::size_t isa = 0; isa < isas_.size(); ++isa) {
      for (int f = 0; f < 3; ++f) {
        const Worst<T>& w = worst_[isa * 3 + static_cast<std::size_t>(f)];
        std::printf("%-12s %-6s %-7s worst %.3f ulp at %.17g\n", isas_[isa].c_str(),
                    sizeof(T) == 4 ? "float" : "double", kNames[f], w.ulps, static_cast<double>(w.x));
      }
    }
  }

 private:
  void look(int f, std::size_t isa, T x, T y, Wide<T> want) {
    const auto fail_at = [&](const char* what) {
      fail(isas_[isa], " ", kNames[f], "(", x, ") = ", y, " ", what, ", exactly ", want);
    };
    if (f == kTanh && !count(y <= 1 && y >= -1)) fail_at("lies outside [-1, 1]");
    if (f == kSigmoid && !count(y >= 0 && y <= 1)) fail_at("lies outside [0, 1]");
    if (f == kExp && (x < Promise<T>::lowest || x > Promise<T>::highest)) {
      if (!count(y == (x > 0 ? std::numeric_limits<T>::infinity() : T(0)))) fail_at("beyond the limits of exp");
      return;
    }
    // Results near the smallest normal number may be flushed with the denormals below it.
    const Wide<T> size = want < 0 ? -want : want;
    if (size < std::numeric_limits<T>::min() * Wide<T>(1.00001)) {
      if (size < std::numeric_limits<T>::min() && !count(y == 0)) fail_at("should be 0, as denormals are");
      return;
    }
    if (!kWider<T>) return;
    const double distance = ulps<T>(y, want);
    Worst<T>& worst = worst_[isa * 3 + static_cast<std::size_t>(f)];
    if (distance > worst.ulps) worst = {distance, x};
    if (!count(distance <= kUlps[f])) fail_at((std::to_string(distance) + " ulp away").c_str());
  }

  const std::vector<std::string>& isas_;
  std::vector<Worst<T>> worst_;
  std::vector<T> chunk_;
};

template <class T>
T power_of_two(double exponent) {
  return static_cast<T>(std::exp2(exponent));
}

template <class T>
void special_values(const KernelTable<T>& k) {
  using Limits = std::numeric_limits<T>;
  const T inf = Limits::infinity(), nan = Limits::quiet_NaN(), denormal = Limits::denorm_min(), large = Limits::max();
  struct Row {
    T x, exp, sigmoid, tanh;
  };
  const T half = T(0.5), below = T(0.75) * Limits::min();
  const Row rows[] = {{T(0), 1, half, 0},       {-T(0), 1, half, -T(0)},     {inf, inf, 1, 1},
                      {-inf, 0, 0, -1},         {large, inf, 1, 1},          {-large, 0, 0, -1},
                      {denormal, 1, half, 0},   {-denormal, 1, half, -T(0)}, {below, 1, half, 0},
                      {-below, 1, half, -T(0)}, {nan, nan, nan, nan}};
  for (const Row& row : rows) {
    for (int f = 0; f < 3; ++f) {
      const T want = f == kExp ? row.exp : f == kSigmoid ? row.sigmoid : row.tanh;
      for (Dim n = 1; n <= k.width + 1; ++n) {  // in a tail and in a whole vector
        std::vector<T> x(static_cast<std::size_t>(n), row.x), y(x.size());
        apply(k, f, n, x.data(), y.data());
        const bool right = want != want ? y.back() != y.back() : same_bits(y.back(), want);
        PYLSTM_EXPECT(right, kNames[f], "(", row.x, ") is ", y.back(), ", want ", want);
      }
    }
  }
}

// The exponentials of logits: their accuracy, and 0 below normal numbers.
template <class T>
void logits_accuracy(const KernelTable<T>& k) {
  constexpr Dim kCount = 60000;
  std::vector<T> x, lanes(static_cast<std::size_t>(k.width));
  for (Dim i = 0; i < kCount; ++i) x.push_back(T(1.1) * Promise<T>::lowest * static_cast<T>(i) / kCount);
  std::vector<T> y = x;
  const T shift = 0;
  k.logits_exp({1, kCount, y.data(), kCount, nullptr, 0}, &shift, lanes.data());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const Wide<T> want = reference<T>(kExp, x[i]);
    if (want < std::numeric_limits<T>::min() * Wide<T>(1.00001)) {
      PYLSTM_EXPECT(y[i] == 0 || want > std::numeric_limits<T>::min() * Wide<T>(0.99999), "logits_exp(", x[i], ") is ",
                    y[i], ", no normal number");
    } else if (kWider<T>) {
      PYLSTM_EXPECT(ulps<T>(y[i], want) <= 1.2, "logits_exp(", x[i], ") is ", y[i], ", exactly ", want);
    }
  }
}

// Half of the sample is where the logarithm is small, and below sqrt(1/2) a sum of parts that cancel; half is of all
// normal numbers.
template <class T>
void log_accuracy(const KernelTable<T>& k, const Options& options) {
  using Limits = std::numeric_limits<double>;
  const auto look = [&](double x) {
    const double distance = ulps<double>(k.log(x), std::log(static_cast<Wide<double>>(x)));
    PYLSTM_EXPECT(distance <= 2.5, "log(", x, ") is ", k.log(x), ", ", distance, " ulp away");
  };
  for (long i = 0; kWider<double> && i < options.points; ++i) {
    const double part = static_cast<double>(i) / static_cast<double>(options.points);
    look(0.7 + 0.72 * part);
    look(std::exp2(Limits::min_exponent - 1 + (Limits::max_exponent - Limits::min_exponent + 1) * part));
  }
  if (kWider<double>) {
    // The last two are 2.02 and 2.03 ulp away.
    for (const double x : {Limits::min(), Limits::max(), 0.70632331049072861, 0.70710678103970193}) look(x);
  }
  PYLSTM_EXPECT(k.log(1) == 0, "log(1) is ", k.log(1));
  PYLSTM_EXPECT(k.log(Limits::infinity()) == Limits::infinity(), "log(inf) is ", k.log(Limits::infinity()));
  PYLSTM_EXPECT(std::isnan(k.log(Limits::quiet_NaN())), "log(NaN) is ", k.log(Limits::quiet_NaN()));
}

// Any length, place, alias and neighbour: the same bits as alone. NaN stays in its own lane.
template <class T>
void array_laws(const KernelTable<T>& k, Random& random) {
  for (const Dim n : lengths(k)) {
    Guarded<T> x_memory(n), y_memory(n);
    T* x = x_memory.take(n);
    for (Dim i = 0; i < n; ++i) x[i] = i % 5 == 3 ? std::numeric_limits<T>::quiet_NaN() : random.uniform<T>(-12, 12);
    for (int f = 0; f < 3; ++f) {
      T* y = y_memory.take(n);
      apply(k, f, n, x, y);
      PYLSTM_EXPECT(y_memory.intact(), kNames[f], " wrote in front of y");
      for (Dim i = 0; i < n; ++i) {
        T alone;
        apply(k, f, 1, x + i, &alone);
        PYLSTM_EXPECT(same_bits(alone, y[i]) || (alone != alone && y[i] != y[i]), kNames[f], " of ", n, " differs at ",
                      i);
        if (f != kTanh) continue;
        const T minus = -x[i];
        apply(k, f, 1, &minus, &alone);
        PYLSTM_EXPECT(alone != alone || same_bits(alone, static_cast<T>(-y[i])), "tanh(", x[i], ") is not odd");
      }
      const std::vector<T> apart(y, y + n);
      std::copy(x, x + n, y);
      apply(k, f, n, y, y);
      PYLSTM_EXPECT(n == 0 || std::memcmp(y, apart.data(), static_cast<std::size_t>(n) * sizeof(T)) == 0, kNames[f],
                    " in place differs");
    }
  }
}

template <class T>
void dense_activations(const KernelTable<T>& k, Random& random) {
  for (const Dim n : lengths(k)) {
    Guarded<T> x_memory(n), y_memory(n), d_memory(n), dx_memory(n);
    T *x = x_memory.take(n), *d = d_memory.take(n);
    for (Dim i = 0; i < n; ++i) {
      x[i] = random.uniform<T>(-3, 3);
      d[i] = random.uniform<T>(-1, 1);
    }
    if (n > 2) x[2] = std::numeric_limits<T>::quiet_NaN();
    for (const Activation kind : {Activation::kLinear, Activation::kRelu, Activation::kTanh, Activation::kSigmoid}) {
      T* y = y_memory.take(n);
      k.activate(kind, n, x, y);
      T* dx = dx_memory.take(n);
      k.activate_backward(kind, n, y, d, dx);
      PYLSTM_EXPECT(y_memory.intact() && dx_memory.intact(), "an activation wrote in front of its output");
      for (Dim i = 0; i < n; ++i) {
        T want = x[i];
        if (kind == Activation::kRelu && x[i] < 0) want = 0;
        if (kind == Activation::kTanh) k.tanh(1, x + i, &want);
        if (kind == Activation::kSigmoid) k.sigmoid(1, x + i, &want);
        const int name = static_cast<int>(kind);
        PYLSTM_EXPECT(y[i] == want || (want != want && y[i] != y[i]), "activation ", name, " of ", x[i], " is ", y[i],
                      ", want ", want);
        if (y[i] != y[i]) {
          PYLSTM_EXPECT(kind == Activation::kLinear || dx[i] != dx[i], "NaN is lost behind activation ", name);
          continue;
        }
        const Wide<T> o = y[i];
        const Wide<T> slope = kind == Activation::kRelu      ? Wide<T>(o > 0)
                              : kind == Activation::kTanh    ? 1 - o * o
                              : kind == Activation::kSigmoid ? o * (1 - o)
                                                             : 1;
        PYLSTM_EXPECT(std::fabs(static_cast<double>(dx[i] - d[i] * slope)) <= 2 * kEps<T>, "slope of activation ", name,
                      " at y = ", y[i]);
      }
      const std::vector<T> apart(dx, dx + n);
      std::copy(d, d + n, dx);
      k.activate_backward(kind, n, y, dx, dx);
      PYLSTM_EXPECT(n == 0 || std::memcmp(dx, apart.data(), static_cast<std::size_t>(n) * sizeof(T)) == 0,
                    "activate_backward in place differs");
    }
  }
}

}  // namespace

template <class T>
void activation_laws(const KernelTable<T>& k, const Options& options) {
  Random random(6);
  special_values(k);
  logits_accuracy(k);
  log_accuracy(k, options);
  array_laws(k, random);
  dense_activations(k, random);
}

// Log-spaced over all normal numbers, most of it where the functions move; then whole octaves.
template <class T>
void accuracy_laws(const std::vector<std::string>& isas, const Options& options) {
  Accuracy<T> accuracy(isas);
  const double lowest = std::numeric_limits<T>::min_exponent - 1, highest = std::numeric_limits<T>::max_exponent;
  const double limit = std::log2(-static_cast<double>(Promise<T>::lowest)) + 0.5;
  for (long i = 0; i < options.points; ++i) {
    const bool inside = i % 8 != 0;
    const double from = inside ? -std::numeric_limits<T>::digits : lowest, to = inside ? limit : highest;
    const T x = power_of_two<T>(from + (to - from) * static_cast<double>(i) / static_cast<double>(options.points));
    accuracy.add(x);
    accuracy.add(-x);
  }
  for (const T edge : {Promise<T>::lowest, Promise<T>::highest, T(1), T(9.02)}) {
    T up = edge, down = edge;
    for (int i = 0; i < 500; ++i) {
      accuracy.add(up);
      accuracy.add(down);
      up = std::nextafter(up, std::numeric_limits<T>::infinity());
      down = std::nextafter(down, -std::numeric_limits<T>::infinity());
    }
  }
  if (sizeof(T) == 4 && !options.quick) {
    for (const T octave : {T(0.25), T(1), T(8)}) {
      for (T x = octave; x < 2 * octave; x = std::nextafter(x, T(100))) {
        accuracy.add(x);
        accuracy.add(-x);
      }
    }
  }
  accuracy.flush();
  accuracy.report_worst();
}

template void activation_laws<float>(const KernelTable<float>&, const Options&);
template void activation_laws<double>(const KernelTable<double>&, const Options&);
template void accuracy_laws<float>(const std::vector<std::string>&, const Options&);
template void accuracy_laws<double>(const std::vector<std::string>&, const Options&);

}  // namespace pylstm::test
