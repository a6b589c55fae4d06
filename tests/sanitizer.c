// Linked into every executable of the address sanitizer build (preset asan), and only there: which
// leaks are not ours. A suppression needs a reason here.
#include <dlfcn.h>

// Looked up by name by the sanitizer's run-time library, which declares them nowhere in C.
const char *__lsan_default_suppressions(void);
const char *__lsan_default_options(void);
const char *__ubsan_default_options(void);

const char *__lsan_default_suppressions(void)
{
    // The validation layer keeps its tables of pipelines and their shaders (0.6 MB in test_gpu) when
    // device and instance are gone: layer 1.3.239, all of it allocated by C++ code of the layer.
    // libdbus keeps its table of threads and locks: SDL asks it about the screen saver.
    return "leak:libVkLayer_khronos_validation.so\n"
           "leak:libdbus-1.so\n";
}

const char *__lsan_default_options(void)
{
    return "print_suppressions=0"; // standard error belongs to the program
}

const char *__ubsan_default_options(void)
{
    return "print_stacktrace=1";
}

// Libraries stay loaded to the end: leaks are looked for at exit, and those of a layer or a driver
// that is gone by then could not be told from ours. The Vulkan loader calls this instead of libc's.
int dlclose(void *handle)
{
    (void)handle;
    return 0;
}
