ag_test(safetensors MODULES model base LABELS model)
ag_test(config_json MODULES model base LABELS model)
ag_test(select MODULES model base LABELS model)
ag_test(model_find MODULES model base LABELS model)
