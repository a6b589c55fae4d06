# Turns SPIR-V files into one C file with a table of word arrays (see shaders/CMakeLists.txt).
set(body "// Generated from shaders/${FOLDER}; do not edit.\n#include \"autogaze/gpu.h\"\n\n")
set(rows "")
list(LENGTH NAMES n)
math(EXPR last "${n}-1")
foreach(i RANGE ${last})
  list(GET NAMES ${i} name)
  list(GET SPVS ${i} spv)
  file(READ ${spv} hex HEX)
  file(SIZE ${spv} bytes)
  # A little-endian word a group: "0123abcd" -> 0xcdab2301
  string(REGEX REPLACE "(..)(..)(..)(..)" "0x\\4\\3\\2\\1," words "${hex}")
  string(REGEX REPLACE "((0x........,)(0x........,)(0x........,)(0x........,)(0x........,)(0x........,)(0x........,)(0x........,))" "\\1\n" words "${words}")
  string(APPEND body "static const uint32_t code_${i}[] = {\n${words}\n};\n")
  string(APPEND rows "    { \"${name}\", code_${i}, ${bytes} },\n")
endforeach()
string(APPEND body "\nstatic const struct ag_shader shaders[] = {\n${rows}};\n\n"
  "const struct ag_shader_library ag_shaders_${FOLDER} = { \"${FOLDER}\", shaders, ${n} };\n")
file(WRITE ${OUT} "${body}")
