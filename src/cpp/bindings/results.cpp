#include "bindings/results.hpp"

#include <memory>
#include <mutex>
#include <utility>

#include "base/buffer.hpp"
#include "base/fork_locks.hpp"

namespace py = pybind11;

namespace pylstm {
namespace {

constexpr Dim kMost = Dim{128} << 20;

using Memory = Buffer<unsigned char>;

class Spare {
 public:
  // Never destroyed: arrays may outlive everything else.
  static Spare& instance() {
    static Spare* const spare = new Spare;
    return *spare;
  }

  // Null if there is none.
  std::unique_ptr<Memory> take(Dim bytes) {
    std::unique_ptr<Memory> found;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      found = std::move(memory_);
    }
    // What does not fit is given back before more is asked for.
    return found && found->count() >= bytes && found->count() <= 2 * bytes ? std::move(found) : nullptr;
  }

  void leave(std::unique_ptr<Memory> memory) {
    if (memory->count() > kMost) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    memory_.swap(memory);
  }

 private:
  std::mutex mutex_;
  std::unique_ptr<Memory> memory_;
  ForkLocks fork_locks_{{&mutex_}};
};

}  // namespace

py::array empty_result(const std::vector<Dim>& shape, bool is_double) {
  const py::dtype dtype = is_double ? py::dtype::of<double>() : py::dtype::of<float>();
  const Dim bytes = checked_product(shape, is_double ? sizeof(double) : sizeof(float)) * (is_double ? 8 : 4);
  const std::vector<py::ssize_t> dims(shape.begin(), shape.end());
  std::unique_ptr<Memory> memory = Spare::instance().take(bytes);
  if (!memory) memory = std::make_unique<Memory>(bytes);
  void* data = memory->data();
  const py::capsule release(memory.get(),
                            [](void* p) { Spare::instance().leave(std::unique_ptr<Memory>(static_cast<Memory*>(p))); });
  (void)memory.release();  // now the capsule's
  return py::array(dtype, dims, data, release);
}

}  // namespace pylstm
