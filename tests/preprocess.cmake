ag_test(preprocess_ref MODULES reference base)
