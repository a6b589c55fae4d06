ag_test(pattern MODULES source base)
