// The one translation unit of volk, which opens the Vulkan loader at run time.
#define VOLK_IMPLEMENTATION
#include <volk.h>
