#include "bindings/arrays.hpp"

#include <memory>

namespace py = pybind11;

namespace pylstm {
namespace {

ElementType element_type(const py::array& array, const char* name) {
  const char kind = array.dtype().kind();
  const py::ssize_t size = array.itemsize();
  switch (kind) {
    case 'b':
      return ElementType::kBool;
    case 'i':
      return size == 1   ? ElementType::kI8
             : size == 2 ? ElementType::kI16
             : size == 4 ? ElementType::kI32
                         : ElementType::kI64;
    case 'u':
      return size == 1   ? ElementType::kU8
             : size == 2 ? ElementType::kU16
             : size == 4 ? ElementType::kU32
                         : ElementType::kU64;
    case 'f':
      if (size == 2) return ElementType::kF16;
      if (size == 4) return ElementType::kF32;
      if (size == 8) return ElementType::kF64;
      break;
    default:
      break;
  }
  throw py::type_error(std::string(name) + " must hold real numbers, got dtype " +
                       py::str(py::object(array.dtype())).cast<std::string>());
}

bool is_swapped(const py::array& array) {
  const char order = array.dtype().byteorder();
  const std::uint16_t probe = 1;
  const bool little = *reinterpret_cast<const unsigned char*>(&probe) == 1;
  return (order == '>' && little) || (order == '<' && !little);
}

}  // namespace

ArrayView view_of(const py::array& array, const char* name) {
  ArrayView view;
  view.type = element_type(array, name);
  view.swapped = is_swapped(array);
  view.data = static_cast<const unsigned char*>(array.data());
  view.shape.assign(array.shape(), array.shape() + array.ndim());
  view.strides.assign(array.strides(), array.strides() + array.ndim());
  return view;
}

std::vector<ArrayView> views_of(const std::vector<py::array>& arrays, const char* name) {
  std::vector<ArrayView> views;
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    views.push_back(view_of(arrays[i], (std::string(name) + "[" + std::to_string(i) + "]").c_str()));
  }
  return views;
}

py::array to_numpy(OwnedArray array, bool is_double) {
  auto owner = std::make_unique<OwnedArray>(std::move(array));
  const std::vector<py::ssize_t> shape(owner->shape.begin(), owner->shape.end());
  const py::dtype dtype = is_double ? py::dtype::of<double>() : py::dtype::of<float>();
  void* data = owner->bytes.data();
  const py::capsule release(owner.get(), [](void* p) { delete static_cast<OwnedArray*>(p); });
  (void)owner.release();  // now the capsule's
  return data == nullptr ? py::array(dtype, shape) : py::array(dtype, shape, data, release);
}

py::list to_numpy(std::vector<OwnedArray> arrays, bool is_double) {
  py::list list;
  for (OwnedArray& array : arrays) list.append(to_numpy(std::move(array), is_double));
  return list;
}

std::vector<Dim> dims_of(const py::tuple& shape) {
  std::vector<Dim> dims;
  for (const py::handle dim : shape) dims.push_back(dim.cast<Dim>());
  return dims;
}

py::tuple tuple_of(const std::vector<Dim>& shape) { return py::tuple(py::cast(shape)); }

}  // namespace pylstm
