// Second half of ag_model_load: fills weights, tensors and parameters of a model whose config is
// set. What was loaded before an error stays owned by the model.
#ifndef AUTOGAZE_MODEL_WEIGHTS_H
#define AUTOGAZE_MODEL_WEIGHTS_H

#include "autogaze/model.h"

bool ag_weights_load(const struct ag_log *log, const char *path, struct ag_model *m,
                     struct ag_error *err);

#endif
