#include "autogaze/report.h"

const char *ag_version(void)
{
    return AG_VERSION;
}

const char *ag_revision(void)
{
    return AG_REVISION;
}
