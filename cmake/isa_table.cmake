# The one table of instruction sets: what the compiler is told and what the processor is asked.
#   pylstm_isa(<name> <vector shim> <feature bits> <compiler flags>)
# Best first. A set is compiled with exactly the bits that its detection demands.
# On macOS the compiler may build for another processor than its own.
list(LENGTH CMAKE_OSX_ARCHITECTURES osx_architectures)
if(osx_architectures GREATER 1)
  message(FATAL_ERROR "one architecture at a time: CMAKE_OSX_ARCHITECTURES is ${CMAKE_OSX_ARCHITECTURES}")
elseif(osx_architectures EQUAL 1)
  set(isa_processor ${CMAKE_OSX_ARCHITECTURES})
else()
  set(isa_processor ${CMAKE_SYSTEM_PROCESSOR})
endif()
if(isa_processor MATCHES "^(x86_64|AMD64|amd64)$")
  set(avx512_flags -mavx2 -mfma -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512)
  set(avx512_bits avx2 fma avx512f avx512bw avx512dq avx512vl)
  pylstm_isa(avx512_bf16 avx512 "${avx512_bits};avx512bf16;avx512vnni" "${avx512_flags};-mavx512bf16;-mavx512vnni")
  pylstm_isa(avx512 avx512 "${avx512_bits}" "${avx512_flags}")
  # For laws, see the shim; only if asked for. -O3 takes half as long again to compile. GCC warns of how vectors would be
  # passed, which no call does, and of attributes that a template's argument loses.
  if("avx512_by_halves" IN_LIST PYLSTM_ISAS)
    pylstm_isa(avx512_by_halves avx512_by_halves "avx2;fma" "-mavx2;-mfma;-O1;-Wno-psabi;-Wno-ignored-attributes")
  endif()
  pylstm_isa(avx2 avx2 "avx2;fma" "-mavx2;-mfma")
  pylstm_isa(baseline baseline "" "")
elseif(isa_processor MATCHES "^(aarch64|arm64|ARM64)$")
  pylstm_isa(neon neon "" "")
else()
  message(FATAL_ERROR "pylstm needs an x86-64 or AArch64 processor, got ${isa_processor}")
endif()
