// Every entry of every kernel table that this processor can run, against plain references.
//   kernel_laws [quick]
#include "laws.hpp"

#include <cstdio>
#include <cstring>

#include "base/float_env.hpp"
#include "base/parallel.hpp"

namespace pylstm::test {
namespace {

template <class T>
void table_laws(const KernelTable<T>& k, const Options& options) {
  pack_laws(k, options);
  product_laws(k, options);
  row_product_laws(k, options);
  lstm_laws(k, options);
  cell_laws(k, options);
  sequence_laws(k, options);
  lstm_backward_laws(k, options);
  lstm_share_laws(k, options);
  softmax_laws(k, options);
  dense_softmax_laws(k, options);
  interrupt_laws(k, options);
  elementwise_laws(k, options);
  optimizer_laws(k, options);
  embedding_laws(k, options);
  activation_laws(k, options);
}

void all_laws(const Options& options) {
  const std::vector<std::string> isas = available_isas();
  for (const std::string& isa : isas) {
    use_isa(isa);
    PYLSTM_EXPECT(active_kernels().name == isa, "use_isa(", isa, ") makes ", active_kernels().name, " active");
    report().context = isa + " float: ";
    table_laws(active_kernels().f32, options);
    report().context = isa + " double: ";
    table_laws(active_kernels().f64, options);
    report().context.clear();
    std::printf("%s: %ld checks so far\n", isa.c_str(), report().checks);
  }
  accuracy_laws<float>(isas, options);
  accuracy_laws<double>(isas, options);
}

}  // namespace
}  // namespace pylstm::test

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);  // a fault shows what came before it
  pylstm::test::Options options;
  if (argc == 2 && std::strcmp(argv[1], "quick") == 0) {
    options.quick = true;
    options.brief = std::strcmp(pylstm::thread_backend(), "none") == 0;
    options.points = 20000;
  } else if (argc != 1) {
    std::fprintf(stderr, "usage: kernel_laws [quick]\n");
    return 2;
  }
  const pylstm::FloatEnvironment guard;  // kernels run in it
  pylstm::test::all_laws(options);
  return pylstm::test::finish("kernel_laws");
}
