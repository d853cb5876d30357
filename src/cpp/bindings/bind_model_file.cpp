// Model files for Python: NumPy arrays in and out.

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cerrno>
#include <memory>
#include <utility>

#include "base/atomic_file.hpp"
#include "bindings/gil.hpp"
#include "network/model_file.hpp"

namespace py = pybind11;

namespace pylstm {
namespace {

using NamedArrays = std::vector<std::pair<std::string, py::array>>;

// A str, bytes or os.PathLike as bytes in the encoding of the file system.
std::string path_of(const py::object& path) {
  PyObject* encoded = nullptr;
  if (PyUnicode_FSConverter(path.ptr(), &encoded) == 0) throw py::error_already_set();
  return py::reinterpret_steal<py::bytes>(encoded);
}

void raise_os_error(const FileError& error) {
  const py::object path = py::reinterpret_steal<py::object>(
      PyUnicode_DecodeFSDefaultAndSize(error.path().data(), static_cast<py::ssize_t>(error.path().size())));
  errno = error.code().value();
  PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path.ptr());
}

void translate_file_error(std::exception_ptr thrown) {
  try {
    if (thrown) std::rethrow_exception(thrown);
  } catch (const FileError& error) {
    raise_os_error(error);
  }
}

// The array in C order and the byte order of this machine; itself if it is so already.
template <class T>
py::array plain(const py::array& array) {
  auto converted = py::array_t<T, py::array::c_style | py::array::forcecast>::ensure(array);
  if (!converted) throw py::error_already_set();
  return converted;
}

std::pair<FileDtype, py::array> to_file(const std::string& name, const py::array& array) {
  const char kind = array.dtype().kind();
  const py::ssize_t size = array.itemsize();
  if (kind == 'f' && size == 8) return {FileDtype::f64, plain<double>(array)};
  if (kind == 'f' && size == 4) return {FileDtype::f32, plain<float>(array)};
  if (kind == 'i' && size == 8) return {FileDtype::i64, plain<std::int64_t>(array)};
  if (kind == 'i' && size == 4) return {FileDtype::i32, plain<std::int32_t>(array)};
  if (kind == 'i' && size == 1) return {FileDtype::i8, plain<std::int8_t>(array)};
  if (kind == 'u' && size == 1) return {FileDtype::u8, plain<std::uint8_t>(array)};
  throw py::type_error("tensor '" + name + "' must have dtype float64, float32, int64, int32, int8 or uint8, got " +
                       py::str(array.dtype()).cast<std::string>());
}

py::dtype numpy_dtype(FileDtype dtype) {
  switch (dtype) {
    case FileDtype::f64:
      return py::dtype::of<double>();
    case FileDtype::f32:
      return py::dtype::of<float>();
    case FileDtype::bf16:
      return py::dtype::of<std::uint16_t>();  // NumPy has no bfloat16
    case FileDtype::i64:
      return py::dtype::of<std::int64_t>();
    case FileDtype::i32:
      return py::dtype::of<std::int32_t>();
    case FileDtype::i8:
      return py::dtype::of<std::int8_t>();
    case FileDtype::u8:
      return py::dtype::of<std::uint8_t>();
  }
  throw std::logic_error("unknown FileDtype");
}

// An array that owns the bytes of the tensor, without a copy.
py::array to_numpy(ModelTensor&& tensor) {
  auto bytes = std::make_unique<std::vector<std::byte>>(std::move(tensor.data));
  std::byte* data = bytes->data();
  const py::capsule owner(bytes.get(), [](void* held) { delete static_cast<std::vector<std::byte>*>(held); });
  bytes.release();
  return py::array(numpy_dtype(tensor.dtype), std::move(tensor.shape), data, owner);
}

void write(const py::object& path, const ModelMetadata& metadata, const NamedArrays& tensors) {
  const std::string target = path_of(path);
  std::vector<ModelTensorView> views;
  std::vector<py::array> held;
  for (const auto& [name, array] : tensors) {
    auto [dtype, data] = to_file(name, array);
    views.push_back({name, dtype, {data.shape(), data.shape() + data.ndim()}, data.data()});
    held.push_back(std::move(data));
  }
  const Unlocked without;
  write_model_file(target, metadata, views);
}

std::pair<ModelMetadata, NamedArrays> read(const py::object& path, bool verify) {
  const std::string source = path_of(path);
  ModelFile file;
  {
    const Unlocked without;
    file = read_model_file(source, verify);
  }
  NamedArrays arrays;
  for (ModelTensor& tensor : file.tensors) {
    std::string name = tensor.name;
    arrays.emplace_back(std::move(name), to_numpy(std::move(tensor)));
  }
  return {std::move(file.metadata), std::move(arrays)};
}

}  // namespace

void register_model_file(py::module_& m) {
  auto error = py::register_exception<ModelFileError>(m, "ModelFileError", PyExc_ValueError);
  error.attr("__doc__") = "The model file is damaged, foreign, hostile or of an unknown version.";
  py::register_exception_translator(&translate_file_error);

  m.def("write_model_file", &write, py::arg("path"), py::arg("metadata"), py::arg("tensors"),
        R"(Write a model file atomically: an existing file is replaced whole or not at all.

Args:
    path: str, bytes or os.PathLike.
    metadata: dict of str to str; ``pylstm_format`` is added.
    tensors: list of (name, array) with dtype float64, float32, int64, int32, int8 or uint8 and at
        most 4 dimensions; any byte order and strides. Wider elements come first in the file.

Raises:
    ValueError: a name, a shape or the size of the header is outside the limits of the format.
    TypeError: a dtype that the format does not hold.
    OSError: the system could not write; the file is as it was.)");
  m.def("read_model_file", &read, py::arg("path"), py::arg("verify") = true,
        R"(Read a model file and return ``(metadata, [(name, array), ...])``.

Args:
    path: str, bytes or os.PathLike.
    verify: check the SHA-256 digest. False reads a file that another safetensors tool saved again;
        the structure is checked in any case.

Returns:
    The metadata and new, writable arrays in the order of the file, without the digest. BF16 comes
    as uint16 with the same bits.

Raises:
    ModelFileError: the file is damaged, foreign, hostile or of an unknown version.
    OSError: the system could not read; also for a folder, a pipe or a device.)");
}

}  // namespace pylstm
