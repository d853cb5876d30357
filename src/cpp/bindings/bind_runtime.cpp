// Instruction set, threads, random numbers, build facts.
#include "base/caches.hpp"
#include "base/cgroup.hpp"
#include "base/float_env.hpp"
#include "base/parallel.hpp"
#include "bindings/arrays.hpp"
#include "bindings/gil.hpp"
#include "kernels/dispatch.hpp"
#include "ops/initializers.hpp"
#include "ops/roofline.hpp"

namespace py = pybind11;

#if defined(_WIN32)
#define PYLSTM_EXPORT __declspec(dllexport)
#else
#define PYLSTM_EXPORT __attribute__((visibility("default")))
#endif

// threadpoolctl tells our library from another one of the same file name by this symbol. A bad PYLSTM_NUM_THREADS must
// not pass through C.
extern "C" PYLSTM_EXPORT int pylstm_num_threads() {
  try {
    return pylstm::num_threads();
  } catch (const std::exception&) {
    return 1;
  }
}
#undef PYLSTM_EXPORT

namespace pylstm {
namespace {

std::string compiler() {
#if defined(__clang__)
  return "clang " __clang_version__;
#elif defined(__GNUC__)
  return "gcc " __VERSION__;
#else
  return "unknown";
#endif
}

py::array_t<double> initialize(const std::string& kind, const py::tuple& shape, double a, double b, std::uint64_t seed,
                               std::uint32_t stream) {
  const std::vector<Dim> dims = dims_of(shape);
  const std::vector<double> values = released([&] { return initial_values(kind, dims, a, b, seed, stream); });
  py::array_t<double> array(std::vector<py::ssize_t>(dims.begin(), dims.end()));
  std::copy(values.begin(), values.end(), array.mutable_data());
  return array;
}

}  // namespace

void register_runtime(py::module_& m) {
  m.def("available_isas", &available_isas);
  m.def("active_isa", [] { return std::string(active_kernels().name); });
  m.def("use_isa", &use_isa, py::arg("name"));
  m.def("get_num_threads", &num_threads);
  m.def("set_num_threads", &set_num_threads, py::arg("n"));
  m.def("available_cores", &available_cores);
  m.def(
      "cgroup_folders",
      [](const std::string& controller) {
        py::list folders;  // names of files need not be UTF-8
        for (const std::string& folder : cgroup_folders(controller)) folders.append(py::bytes(folder));
        return folders;
      },
      py::arg("controller"));
  m.def("second_level_cache", &second_level_cache);
  m.def("build_info", [] {
    return std::map<std::string, std::string>{{"version", PYLSTM_VERSION},
                                              {"compiler", compiler()},
                                              {"thread_backend", thread_backend()},
                                              {"isas", py::str(" ").attr("join")(compiled_isas()).cast<std::string>()}};
  });
  m.def(
      "measure_peak",
      [](int threads, double seconds, bool is_double, bool mean) {
        const FloatEnvironment guard;
        const Rate rate = mean ? Rate::kMean : Rate::kBest;
        return is_double ? measure_peak(active_kernels().f64, threads, seconds, rate)
                         : measure_peak(active_kernels().f32, threads, seconds, rate);
      },
      py::arg("threads"), py::arg("seconds"), py::arg("is_double") = false, py::arg("mean") = false, Release());
  m.def(
      "measure_issue_rate",
      [](int threads, double seconds, bool mean) {
        const FloatEnvironment guard;
        return measure_issue_rate(threads, seconds, mean ? Rate::kMean : Rate::kBest);
      },
      py::arg("threads"), py::arg("seconds"), py::arg("mean") = false, Release());
  m.def(
      "measure_bandwidth",
      [](int threads, Dim bytes, double seconds) {
        const FloatEnvironment guard;
        return measure_bandwidth(active_kernels().f32, threads, bytes, seconds);
      },
      py::arg("threads"), py::arg("bytes"), py::arg("seconds"), Release());
  m.def("initialize", &initialize, py::arg("kind"), py::arg("shape"), py::arg("a"), py::arg("b"), py::arg("seed"),
        py::arg("stream"));
  m.def(
      "permutation",
      [](Dim n, std::uint64_t seed, std::uint32_t stream) {
        const std::vector<std::int64_t> order = released([&] { return permutation(n, seed, stream); });
        return py::array_t<std::int64_t>(static_cast<py::ssize_t>(order.size()), order.data());
      },
      py::arg("n"), py::arg("seed"), py::arg("stream"));
}

}  // namespace pylstm
