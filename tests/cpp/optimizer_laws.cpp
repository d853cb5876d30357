// One optimizer step against the update rules that Keras documents, in Wide. Slots are compared
// first; parameters then against the rule applied to the slots that the kernel left.
#include "laws.hpp"

namespace pylstm::test {
namespace {

enum class Kind { kSgd, kRmsprop, kAdam };

struct Variant {
  const char* name;
  Kind kind;
  bool momentum, nesterov, centered;
  double scale, clip, decay;
};

constexpr Variant kVariants[] = {
    {"sgd", Kind::kSgd, false, false, false, 1, 0, 0},
    {"sgd, clipped by norm", Kind::kSgd, false, false, false, 0.3, 0, 0},
    {"sgd, clipped by value", Kind::kSgd, false, false, false, 1, 0.5, 0},
    {"sgd, momentum", Kind::kSgd, true, false, false, 1, 0, 0.01},
    {"sgd, nesterov", Kind::kSgd, true, true, false, 1, 0.5, 0},
    {"rmsprop", Kind::kRmsprop, false, false, false, 1, 0, 0},
    {"rmsprop, momentum", Kind::kRmsprop, true, false, false, 0.3, 0, 0.01},
    {"rmsprop, centered", Kind::kRmsprop, false, false, true, 1, 0.5, 0},
    {"rmsprop, centered, momentum", Kind::kRmsprop, true, false, true, 1, 0, 0},
    {"adam", Kind::kAdam, true, false, false, 1, 0, 0},
    {"adamw, clipped by norm", Kind::kAdam, true, false, false, 0.3, 0, 0.01},
    {"adam, clipped by value", Kind::kAdam, true, false, false, 1, 0.5, 0},
};

template <class T>
struct Memory {
  explicit Memory(Dim n) : p(n), g(n), m(n), v(n), u(n) {}
  bool intact() const { return p.intact() && m.intact() && v.intact() && u.intact(); }
  Guarded<T> p, g, m, v, u;
};

template <class T>
bool close(const Variant& variant, const char* what, T got, Wide<T> want, double limit) {
  return PYLSTM_EXPECT(std::fabs(static_cast<double>(got - want)) <= limit, variant.name, ": ", what, " is ", got,
                       ", want ", want, " within ", limit);
}

// Slots and parameters are at most 2 in size, so that `roundings` eps bound every error.
template <class T>
void compare(const Variant& variant, const UpdateArgs<T>& a, Dim i, Wide<T> p, Wide<T> g, Wide<T> m, Wide<T> v,
             Wide<T> u) {
  const double roundings = 8 * kEps<T>;
  p -= p * a.decay;
  if (variant.kind == Kind::kSgd) {
    if (!variant.momentum) {
      close(variant, "p", a.p[i], p - a.rate * g, roundings);
      return;
    }
    close(variant, "m", a.m[i], a.beta_1 * m - a.rate * g, roundings);
    const Wide<T> step = a.m[i];
    close(variant, "p", a.p[i], variant.nesterov ? p + a.beta_1 * step - a.rate * g : p + step, roundings);
    return;
  }
  if (variant.kind == Kind::kAdam) {
    close(variant, "m", a.m[i], m + (g - m) * a.rest_1, roundings);
    close(variant, "v", a.v[i], v + (g * g - v) * a.rest_2, roundings);
    close(variant, "p", a.p[i], p - a.rate * a.m[i] / (std::sqrt(static_cast<Wide<T>>(a.v[i])) + a.epsilon), roundings);
    return;
  }
  close(variant, "v", a.v[i], a.beta_2 * v + a.rest_2 * g * g, roundings);
  Wide<T> spread = static_cast<Wide<T>>(a.v[i]) + a.epsilon;
  if (variant.centered) {
    close(variant, "u", a.u[i], a.beta_2 * u + a.rest_2 * g, roundings);
    spread -= static_cast<Wide<T>>(a.u[i]) * a.u[i];
  }
  const Wide<T> step = a.rate * g / std::sqrt(spread);
  if (!variant.momentum) {
    close(variant, "p", a.p[i], p - step, roundings);
    return;
  }
  close(variant, "m", a.m[i], a.beta_1 * m + step, roundings);
  close(variant, "p", a.p[i], p - a.m[i], roundings);
}

template <class T>
void update_case(const KernelTable<T>& k, const Variant& variant, Dim n, Random& random) {
  Memory<T> memory(n);
  T *p = memory.p.take(n), *g = memory.g.take(n), *m = memory.m.take(n), *v = memory.v.take(n), *u = memory.u.take(n);
  for (Dim i = 0; i < n; ++i) {
    p[i] = random.uniform<T>(-1, 1);
    g[i] = random.uniform<T>(-1, 1);
    m[i] = random.uniform<T>(-1, 1);
    v[i] = random.uniform<T>(T(0.5), 1);  // above u * u: a variance stays positive
    u[i] = random.uniform<T>(T(-0.5), T(0.5));
  }
  const std::vector<T> p0(p, p + n), m0(m, m + n), v0(v, v + n), u0(u, u + n);
  UpdateArgs<T> args = {};
  args.n = n;
  args.p = p;
  args.g = g;
  args.m = variant.momentum ? m : nullptr;
  args.v = variant.kind == Kind::kSgd ? nullptr : v;
  args.u = variant.centered ? u : nullptr;
  args.gradient_scale = static_cast<T>(variant.scale);
  args.clip_value = static_cast<T>(variant.clip);
  args.rate = static_cast<T>(0.1);
  args.decay = static_cast<T>(variant.decay);
  args.beta_1 = static_cast<T>(0.9);
  args.beta_2 = static_cast<T>(variant.kind == Kind::kSgd ? 0 : 0.99);
  args.rest_1 = static_cast<T>(1 - 0.9);
  args.rest_2 = static_cast<T>(1 - 0.99);
  args.epsilon = static_cast<T>(1e-7);
  args.nesterov = variant.nesterov;
  args.centered = variant.centered;
  (variant.kind == Kind::kSgd ? k.sgd : variant.kind == Kind::kAdam ? k.adam : k.rmsprop)(args);
  PYLSTM_EXPECT(memory.intact(), variant.name, " wrote in front of an array");
  for (Dim i = 0; i < n; ++i) {
    const auto at = static_cast<std::size_t>(i);
    Wide<T> gradient = static_cast<Wide<T>>(g[i]) * args.gradient_scale;
    if (variant.clip > 0)
      gradient = gradient > args.clip_value    ? args.clip_value
                 : gradient < -args.clip_value ? -args.clip_value
                                               : gradient;
    compare<T>(variant, args, i, p0[at], gradient, m0[at], v0[at], u0[at]);
    if (!variant.momentum) PYLSTM_EXPECT(same_bits(m[i], m0[at]), variant.name, " changed a slot it was not given");
  }
}

}  // namespace

template <class T>
void optimizer_laws(const KernelTable<T>& k, const Options&) {
  Random random(5);
  for (const Variant& variant : kVariants) {
    for (const Dim n : lengths(k)) update_case(k, variant, n, random);
  }
}

template void optimizer_laws<float>(const KernelTable<float>&, const Options&);
template void optimizer_laws<double>(const KernelTable<double>&, const Options&);

}  // namespace pylstm::test
