ag_test(pattern MODULES source base)
ag_test(ring MODULES ring base)
