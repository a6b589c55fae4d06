#include "autogaze/compositor.h"

#include <math.h>

double ag_psnr_db(uint64_t error_sum, uint64_t samples)
{
    if (error_sum == 0) {
        return INFINITY;
    }
    return 10.0 * log10(255.0 * 255.0 * (double)samples / (double)error_sum);
}
